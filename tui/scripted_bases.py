"""The bases of the scripted engine: three of them, fetched in steps, chosen, removed, refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..schemas import messages as ask
from ..schemas.errors import ModelInUse, ModelNotFound, PullCancelled
from ..schemas.events import Event, PullEvent
from ..schemas.models import Fit, KnownBase, KnownBases, PulledTail

Tell = Callable[[Event], None]

BASES = (
    KnownBase(
        spec="default", title="SmolLM2-135M-Instruct", source="default", family="llama", parameters=134_515_008,
        download=0, memory=109_000_000, fit=Fit.WELL, licence="Apache-2.0", languages="English", installed=True,
        note="Answers at once on any machine.", size=545_000_000, folder="/models/default", fingerprint="ab" * 32,
        chosen=True, loaded=True,
    ),
    KnownBase(
        spec="qwen2.5-1.5b", title="Qwen2.5-1.5B-Instruct", source="Qwen/Qwen2.5-1.5B-Instruct", family="qwen2",
        parameters=1_543_714_304, download=3_090_000_000, memory=1_160_000_000, fit=Fit.WELL, licence="Apache-2.0",
        languages="over 29", note="A good first step up.",
    ),
    KnownBase(
        spec="mistral-7b", title="Mistral-7B-Instruct-v0.3", source="mistralai/Mistral-7B-Instruct-v0.3",
        family="mistral", parameters=7_248_023_552, download=14_500_000_000, memory=4_480_000_000, fit=Fit.NOT,
        licence="Apache-2.0", languages="English first", note="Fluent, direct writing in English.",
    ),
)  # fmt: skip


class ScriptedBases:
    """The part of the scripted engine that answers ``models.*``."""

    pause: float
    steps: int
    hold: asyncio.Event

    def __init__(self) -> None:
        self.bases = {row.spec: row for row in BASES}
        self._pull_cancelled = False

    @property
    def loaded(self) -> KnownBase:
        """The base that answers."""
        return next(row for row in self.bases.values() if row.loaded)

    def load_chosen(self) -> None:
        """Answer with the base that was chosen."""
        self.bases = {spec: row.model_copy(update={"loaded": row.chosen}) for spec, row in self.bases.items()}

    async def _models_list(self, request: ask.ListModels, tell: Tell) -> KnownBases:
        rows = list(self.bases.values())
        return KnownBases(
            rows=rows,
            memory_total=8_000_000_000,
            memory_available=5_000_000_000,
            suggestion="qwen2.5-1.5b" if rows[0].loaded else "",
        )

    def _base_row(self, spec: str) -> KnownBase:
        if spec not in self.bases or not (self.bases[spec].installed or self.bases[spec].partial):
            raise ModelNotFound(f"{spec} is not on this machine.")
        return self.bases[spec]

    async def _models_pull(self, request: ask.PullModel, tell: Tell) -> KnownBase:
        row = self.bases.get(request.spec) or KnownBase(spec=request.spec, title=request.spec, source=request.spec)
        self._pull_cancelled = False
        for step in range(self.steps + 1):
            share = step / self.steps
            tell(PullEvent(spec=row.spec, stage=f"Fetching weights, {step} of {self.steps} MB", fraction=share))
            await asyncio.sleep(self.pause)
            while not self.hold.is_set() and not self._pull_cancelled:
                await asyncio.sleep(0.005)
            if self._pull_cancelled:
                self.bases[row.spec] = row.model_copy(update={"partial": (step + 1) * 1_000_000})
                raise PullCancelled(f"Fetching {row.spec} was stopped; the next pull goes on from there.")
        here = {"installed": True, "partial": 0, "size": 9_000_000, "folder": f"/models/{row.spec}"}
        self.bases[row.spec] = row.model_copy(update={**here, "fingerprint": "cd" * 32})
        return self.bases[row.spec]

    async def _tails_pull(self, request: ask.PullTail, tell: Tell) -> PulledTail:
        spec = "Large-70B-tail8-0123abcd"
        large = KnownBase(spec=spec, title="Large-70B", source=spec, family="llama", upper=8)
        self.bases[spec] = self.bases.get(spec, large)
        row = await self._models_pull(ask.PullModel(spec=spec), tell)
        if request.use:
            row = await self._models_use(ask.UseModel(spec=spec), tell)
        moved, whole = 18_000_000_000, 141_000_000_000
        return PulledTail(base=row, moved=moved, tail=moved, whole=whole, chosen=request.use)

    async def _models_cancel(self, request: ask.CancelPull, tell: Tell) -> bool:
        self._pull_cancelled = True
        return True

    async def _models_use(self, request: ask.UseModel, tell: Tell) -> KnownBase:
        chosen = self._base_row(request.spec).spec
        rows = self.bases.values()
        self.bases = {row.spec: row.model_copy(update={"chosen": row.spec == chosen}) for row in rows}
        return self.bases[chosen]

    async def _models_remove(self, request: ask.RemoveModel, tell: Tell) -> int:
        row = self._base_row(request.spec)
        if row.loaded or ((row.chosen or row.slots) and not request.force):
            raise ModelInUse(f"{row.spec} is needed.")
        gone = {"installed": False, "partial": 0, "size": 0, "folder": "", "fingerprint": ""}
        self.bases[row.spec] = row.model_copy(update=gone)
        return row.size or row.partial
