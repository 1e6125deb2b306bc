"""The slots of the scripted engine together: merged, forked, compared; and what goes in and out of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..schemas import messages as ask
from ..schemas import records as rec
from ..schemas.audit import Audit
from ..schemas.events import AuditEvent, ComparedEvent, Event, PreviewEvent, StudyEndedEvent
from ..schemas.sharing import BundleTaken, Shareable, ShareBase
from .scripted_report import scripted_report

Tell = Callable[[Event], None]


class ScriptedMerges:
    """The part of the scripted engine that answers what is asked of several slots, generations and their files."""

    accept: bool
    pause: float
    lessons: dict[int, rec.Lesson]
    studies: dict[int, rec.Study]
    versions: dict[str, list[rec.Version]]
    _add_version: Callable[..., rec.Version]
    _next: Callable[[], int]
    _slot: Callable[[str], rec.Slot]
    _slots_create: Callable[[ask.CreateSlot, Tell], Awaitable[rec.Slot]]
    _tell: Callable[[Event], None]

    def __init__(self) -> None:
        self.damage: list[rec.StoreFinding] = []
        """What a look at the store finds."""
        self.comparing = False
        self.audit = Audit(slot="", number=0, strings=1, replies=29)
        """What an audit finds, of whatever version."""
        self.shared_folder = ""
        """Where the adapter of a version lies that shall be shared."""

    async def _slots_fork(self, request: ask.ForkSlot, tell: Tell) -> rec.Slot:
        made = await self._slots_create(ask.CreateSlot(title=request.title, name=request.name), tell)
        self._add_version(made.name, kind=rec.VersionKind.FORK)
        return self._slot(made.name)

    async def _versions_diff(self, request: ask.DiffVersions, tell: Tell) -> rec.VersionDiff:
        return rec.VersionDiff(
            slot=request.slot, one=request.one, other=request.other, came=["Be brief."], went=[], gates=[],
            samples=[rec.SamplePair(prompt="Why?", one="Because.", other="So.")],
            blocks=[rec.BlockNorms(block=22, one=0.5, other=0.75, change=0.25)],
        )  # fmt: skip

    async def _versions_audit(self, request: ask.AuditVersion, tell: Tell) -> Audit:
        tell(AuditEvent(stage="Asking the version", fraction=0.5))
        return self.audit.model_copy(update={"slot": request.slot, "number": request.number or 1})

    async def _versions_preview(self, request: ask.PreviewVersion, tell: Tell) -> rec.VersionPreview:
        prompts = request.prompts or ["What is the tallest mountain?", "Why is the sky blue?"]
        current = self._slot(request.slot).current
        said: list[list[str]] = []
        self.comparing = True
        for row, prompt in enumerate(prompts):
            if not self.comparing:
                break
            said.append(["", ""])
            for word in ("Generation ", "{} ", "says so."):
                await asyncio.sleep(self.pause)
                for side, number in enumerate((current, request.number)):
                    said[row][side] += word.format(number)
                    tell(PreviewEvent(row=row, prompt=prompt, place=side, text=word.format(number)))
        stopped, self.comparing = not self.comparing, False
        samples = [
            rec.SamplePair(prompt=text, one=one, other=two) for text, (one, two) in zip(prompts, said, strict=False)
        ]
        return rec.VersionPreview(
            slot=request.slot, one=current, other=request.number, samples=samples, stopped=stopped
        )

    async def _slots_compare(self, request: ask.CompareSlots, tell: Tell) -> list[rec.Compared]:
        said = [""] * len(request.slots)
        self.comparing = True
        for word in ("{} ", "says ", "so."):
            await asyncio.sleep(self.pause)
            for place, slot in enumerate(request.slots):
                said[place] += word.format(slot)
                tell(ComparedEvent(place=place, text=word.format(slot)))
            if not self.comparing:
                break
        finish = rec.Finish.STOP if self.comparing else rec.Finish.CANCELLED
        self.comparing = False
        return [
            rec.Compared(slot=slot, version=0, text=text, finish=finish, tokens=3)
            for slot, text in zip(request.slots, said, strict=True)
        ]

    async def _slots_compare_cancel(self, request: ask.CancelCompare, tell: Tell) -> bool:
        running, self.comparing = self.comparing, False
        return running

    async def _slots_check(self, request: ask.CheckSlots, tell: Tell) -> rec.StoreCheck:
        return rec.StoreCheck(files=2 * sum(map(len, self.versions.values())), bytes=0, findings=self.damage)

    async def _slots_export(self, request: ask.ExportSlot, tell: Tell) -> rec.ExportedAdapter:
        number = self._slot(request.slot).current if request.number is None else request.number
        return rec.ExportedAdapter(folder=request.to, form=request.form, number=number, bytes=5_000_000)

    async def _slots_import(self, request: ask.ImportAdapter, tell: Tell) -> rec.Study:
        return await self._slots_blend(ask.BlendSlots(weights={}, into=request.into), tell)

    async def _slots_teach(self, request: ask.TeachSlot, tell: Tell) -> rec.Study:
        study = await self._slots_blend(ask.BlendSlots(weights={}, into=request.slot), tell)
        report = study.report and study.report.model_copy(update={"base": request.base})
        return study.model_copy(update={"report": report})

    async def _bundles_describe(self, request: ask.DescribeVersion, tell: Tell) -> Shareable:
        slot = self._slot(request.slot)
        hashes = ("config_hash", "tokenizer_hash", "template_hash", "tensors_hash")
        return Shareable(
            slot=slot.name, title=slot.title, number=request.number or slot.current or 1, created=1_700_000_000.0,
            folder=self.shared_folder, trainer="tail-lora", steps=24, examples=40,
            base=ShareBase(
                name="scripted", source="owner/scripted@abc", family="llama", width=32, layers=4, vocabulary=256,
                **{name: str(place) * 64 for place, name in enumerate(hashes)},
            ),
        )  # fmt: skip

    async def _bundles_convert(self, request: ask.ConvertBundle, tell: Tell) -> rec.ExportedAdapter:
        return rec.ExportedAdapter(folder=request.to, form=rec.AdapterForm.GGUF, number=0, bytes=2_000_000)

    async def _bundles_take(self, request: ask.TakeBundle, tell: Tell) -> BundleTaken:
        if request.into not in self.slots:
            await self._slots_create(ask.CreateSlot(title=request.title, name=request.into), tell)
        before = self._slot(request.into).current
        study = await self._slots_blend(ask.BlendSlots(weights={}, into=request.into), tell)
        if study.version is None:
            return BundleTaken(slot=request.into, version=None, study=study)
        fields = {"kind": rec.VersionKind.IMPORT, "merge": None, "origins": [request.origin]}
        rows = [row.model_copy(update={"current": row.number == before}) for row in self.versions[request.into]]
        self.versions[request.into] = [*rows[:-1], rows[-1].model_copy(update=fields)]
        return BundleTaken(slot=request.into, version=self.versions[request.into][-1], study=study)

    async def _slots_blend(self, request: ask.BlendSlots, tell: Tell) -> rec.Study:
        known = [
            row for row in self.lessons.values() if row.slot in request.weights and row.state is rec.LessonState.LEARNED
        ]
        report = scripted_report(known, [], accepted=self.accept)
        fields: dict[str, Any] = {}
        if self.accept:
            parents = [
                rec.Parent(slot=slot, number=self._slot(slot).current, weight=weight, adapter_sha256="cd" * 32)
                for slot, weight in request.weights.items()
            ]
            options = request.options
            merge = rec.MergeFacts(strategy=request.strategy, options=options, parents=parents, rank=32, error=0.0)
            made = self._add_version(request.into, kind=rec.VersionKind.MERGE, report=report, merge=merge)
            fields = {"version": made.number}
        state = rec.StudyState.ACCEPTED if self.accept else rec.StudyState.REJECTED
        study = rec.Study(
            id=self._next(), slot=request.into, state=state, lessons=[], started=time.time(), finished=time.time(),
            report=report, reason=report.reason, **fields,
        )  # fmt: skip
        self.studies[study.id] = study
        self._tell(StudyEndedEvent(study=study))
        return study
