"""What plugins of the study supply: detectors, rewriters, trainers, gates. Records here, behaviour in ``plugins/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ...schemas.records import CurvePoint, GateResult, Provenance, Scope, SignalKind

if TYPE_CHECKING:
    from torch import Tensor

    from ..slots.adapter import Adapter
    from .candidate import Candidate
    from .task import TrainingTask

Args = dict[str, Any]
"""A rewriter's arguments: plain JSON values, stored with the lesson."""


@dataclass(frozen=True)
class Finding:
    """Something in the user's words that may teach, or that says how the reply before was received.

    Attributes:
        kind: One of those that are said: ``RULE``, ``STYLE``, ``CORRECTION``, ``CORRECT_BARE``, ``REPHRASE``,
            ``CLARIFY``, ``PRAISE``, ``ACCEPT``. The first three may become lessons, the others are only noted.
        rule: What is asked, as a sentence in the user's own words.
        confidence: 0..1 that this is what the user means; below 0.5 a lesson is only proposed, never studied unasked.
        scope: How far the user means it to reach. Only ``SLOT`` is studied unasked; what reaches less far is proposed
            until it is said again in another conversation, or approved.
        provenance: ``SAID``, or ``INFERRED`` where a detector concludes it from something else than a request.
    """

    kind: SignalKind
    rule: str
    confidence: float
    scope: Scope = Scope.REPLY
    provenance: Provenance = Provenance.SAID


class Detector(Protocol):
    """Finds corrections in what the user says next. Pure, fast (a few ms), no model."""

    @property
    def name(self) -> str:
        """Unique among detectors."""
        ...

    def find(self, prompt: str, reply: str, said: str) -> list[Finding]:
        """Return what ``said`` teaches about ``reply``, the answer to ``prompt`` (both empty at the first turn)."""
        ...


class Rewriter(Protocol):
    """One kind of change to a reply that can be inferred, applied, checked and said. Pure and deterministic.

    A lesson is a composition of such steps, applied in the order of ``order`` (what is removed or replaced first, then
    length, case, layout, closing and opening).
    """

    @property
    def name(self) -> str:
        """Unique among rewriters; stored in lessons."""
        ...

    @property
    def order(self) -> int:
        """Place in a composition, small first."""
        ...

    def infer(self, text: str, target: str) -> list[Args]:
        """Return arguments that may bring ``text`` nearer to ``target``, likeliest first; other steps may follow."""
        ...

    def read(self, rule: str) -> list[Args]:
        """Return what a rule in words asks of this rewriter; empty if nothing."""
        ...

    def apply(self, args: Args, text: str) -> str:
        """Return ``text`` as the rule wants it. Applying twice changes nothing more."""
        ...

    def holds(self, args: Args, text: str) -> bool:
        """Whether a reply follows the rule."""
        ...

    def peel(self, args: Args, text: str) -> str:
        """Return a reply without what this step added to it; unchanged where it adds nothing."""
        ...

    def key(self, args: Args) -> str:
        """Return what the step settles: of two steps with the same key the newer one counts."""
        ...

    def common(self, several: Sequence[Args]) -> Args | None:
        """Return one step for several of the same key, seen in edits made for one rule; None if they disagree."""
        ...

    def say(self, args: Args) -> str:
        """Return the rule as an imperative sentence that a user can read."""
        ...

    def contrary(self, args: Args) -> list[str]:
        """Return templates with ``{prompt}`` that ask for the opposite; there the base must go on as it is.

        At least six phrasings, some with the prompt first and some with it last.
        """
        ...


@runtime_checkable
class ExchangesWords(Protocol):
    """A rewriter may say more: which words it exchanges wherever they would be said.

    Then every reply teaches the rule, also one in which the word was only likely: there the base's expectation, with
    what it gave the old word given to the new one, is what the rule asks for.
    """

    def exchanges(self, args: Args) -> list[tuple[str, str]]:
        """Return pairs of old and new words, as inside a sentence; an empty new one is just not to be said."""
        ...


@runtime_checkable
class RespellsText(Protocol):
    """A rewriter may spell every word another way, wherever it stands; what would be said is exchanged likewise."""

    def respell(self, args: Args, text: str) -> str:
        """Return any piece of a reply, be it half a word, as the rule spells it."""
        ...


class Trainer(Protocol):
    """Turns a training task into an adapter."""

    @property
    def name(self) -> str:
        """Unique among trainers."""
        ...

    def train(self, task: TrainingTask, tell: Callable[[CurvePoint, int], None]) -> Adapter:
        """Train; ``tell`` gets a point of the curve and the number of steps planned.

        Raises:
            StudyError: If nothing usable came out, with the reason.
        """
        ...


@runtime_checkable
class LearnsFromPairs(Protocol):
    """A trainer may say more: that it wants the pairs of its task, which take a while to make ready."""

    @property
    def learns_from_pairs(self) -> bool:
        """Whether ``task.pairs`` and ``task.held`` are filled."""
        ...


class Router(Protocol):
    """Tells from what the trunk makes of a question whether any lesson of a slot applies to it."""

    @property
    def name(self) -> str:
        """Unique among routers; stored with what was fitted."""
        ...

    def fit(self, inside: Tensor, outside: Tensor) -> dict[str, Tensor]:
        """Return what ``applies`` reads, for features ``(n, f)`` of questions in scope and ``(m, f)`` out of it."""
        ...

    def applies(self, fitted: Mapping[str, Tensor], features: Tensor) -> bool:
        """Whether a lesson applies to a question with features ``(f,)`` fp32. Asked once a turn: a few ms at most."""
        ...


class Gate(Protocol):
    """One measured condition that a candidate must pass before it becomes current (DESIGN 2.6)."""

    @property
    def name(self) -> str:
        """Unique among gates."""
        ...

    @property
    def shrinking_helps(self) -> bool:
        """Whether a smaller scale of the adapter can make it pass; if not, a failure ends the line search."""
        ...

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Measure the candidate, as it is scaled now, and decide; one result per condition."""
        ...
