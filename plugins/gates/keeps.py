"""Gates on what was not to be changed: the distance to the base where no rule speaks, and the language itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Gate
from ...schemas.records import GateResult

if TYPE_CHECKING:
    from ...engine.study.candidate import Candidate


@hookimpl
def nightschool_gates() -> list[Gate]:
    """Supply the gates on what was not to be changed."""
    return [KeepsReplies(), KeepsLanguage()]


class KeepsReplies:
    """The rest of a reply, what the rule did not ask to change, stays near the base."""

    name = "kept_kl"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return one result, in nats a token."""
        recipe = candidate.recipe
        value = candidate.kept_kl()
        limit = recipe.most_kept_kl + recipe.most_kept_spill * candidate.taught_share()
        text = f"The rest of the replies moved by {value:.3f} nats a token, {limit:.3f} allowed."
        return [GateResult(name=self.name, passed=value <= limit, value=value, limit=limit, text=text)]


class KeepsLanguage:
    """Neutral prose outside any chat is predicted as before."""

    name = "neutral"
    shrinking_helps = True

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return two results, in nats a token: distance to the base, and rise of the loss."""
        distance, rise = candidate.neutral()
        most, most_rise = candidate.recipe.most_neutral_kl, candidate.recipe.most_neutral_rise
        return [
            GateResult(
                name="neutral_kl",
                passed=distance <= most,
                value=distance,
                limit=most,
                text=f"Neutral prose moved by {distance:.3f} nats a token, {most:.3f} allowed.",
            ),
            GateResult(
                name="neutral_loss",
                passed=rise <= most_rise,
                value=rise,
                limit=most_rise,
                text=f"The loss on neutral prose rose by {rise:.3f} nats a token, {most_rise:.3f} allowed.",
            ),
        ]
