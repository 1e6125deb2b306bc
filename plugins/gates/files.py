"""The gate on the files: what was written is what was measured, to our own reader and to plain PEFT."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Gate
from ...schemas.errors import Damaged
from ...schemas.records import GateResult

if TYPE_CHECKING:
    from ...engine.slots.adapter import Adapter
    from ...engine.study.candidate import Candidate


@hookimpl
def nightschool_gates() -> list[Gate]:
    """Supply the gate on the files."""
    return [ReadsBack()]


class ReadsBack:
    """The adapter, written and read again, holds the same numbers, and speaks the same merged into the base."""

    name = "files"
    shrinking_helps = False

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return the largest difference of any number, and how far off plain PEFT would be in nats a token."""
        from ...engine.slots.adapter import Adapter

        adapter = candidate.scaled_adapter()
        with tempfile.TemporaryDirectory(prefix="nightschool-") as name:
            folder = Path(name)
            adapter.save(folder, candidate.base.card.name)
            return [self._numbers(adapter, Adapter.load(folder)), *self._voice(candidate, folder)]

    def _numbers(self, adapter: Adapter, again: Adapter) -> GateResult:
        same = adapter.factors.keys() == again.factors.keys()
        worst = max(
            (
                float((one - other).abs().max())
                for place in adapter.factors.keys() & again.factors.keys()
                for one, other in (
                    (adapter.factors[place].down, again.factors[place].down),
                    (adapter.factors[place].up, again.factors[place].up),
                )
            ),
            default=0.0,
        )
        text = "The adapter reads back from its files as it was measured."
        return GateResult(name=self.name, passed=same and worst == 0.0, value=worst, limit=0.0, text=text)

    def _voice(self, candidate: Candidate, folder: Path) -> list[GateResult]:
        most = candidate.recipe.most_file_kl
        try:
            found = candidate.distance_to_files(folder)
        except Damaged as error:
            return [GateResult(name="peft", passed=False, value=1.0, limit=most, text=str(error))]
        if found is None:
            return []  # a family without lean halves: there the numbers alone are compared
        text = f"Merged into the base as plain PEFT does it, the files speak alike within {found:.6f} nats a token."
        return [GateResult(name="peft", passed=found <= most, value=found, limit=most, text=text)]
