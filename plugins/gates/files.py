"""The gate on the files: what was written reads back as what was measured."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...engine.host.hooks import hookimpl
from ...engine.study.contracts import Gate
from ...schemas.records import GateResult

if TYPE_CHECKING:
    from ...engine.study.candidate import Candidate


@hookimpl
def nightschool_gates() -> list[Gate]:
    """Supply the gate on the files."""
    return [ReadsBack()]


class ReadsBack:
    """The adapter, written and read again, holds the same numbers."""

    name = "files"
    shrinking_helps = False

    def judge(self, candidate: Candidate) -> Sequence[GateResult]:
        """Return one result: the largest difference of any number."""
        from ...engine.slots.adapter import Adapter

        adapter = candidate.scaled_adapter()
        with tempfile.TemporaryDirectory(prefix="nightschool-") as folder:
            adapter.save(Path(folder), candidate.base.card.name)
            again = Adapter.load(Path(folder))
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
        return [GateResult(name=self.name, passed=same and worst == 0.0, value=worst, limit=0.0, text=text)]
