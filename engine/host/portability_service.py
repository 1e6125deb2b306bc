"""Slots out of Night School and adapters into it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import UsageError
from ...schemas.messages import ExportSlot, ImportAdapter
from ...schemas.records import AdapterForm, BundleOrigin, ExportedAdapter, Slot, Study
from ..slots import generations
from .rooms import Rooms, Tell

if TYPE_CHECKING:
    from ..slots.adapter import Adapter
    from ..study.runner import StudyJob
    from .model_thread import Model


class PortabilityService:
    """Handler of ``slots.export``."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def export(self, request: ExportSlot, tell: Tell) -> ExportedAdapter:
        """Write a generation for other programs.

        Raises:
            UsageError: If it is the plain base, or the folder is there already.
            BaseMismatch: If it needs the base and another one is loaded.
            UnsupportedFamily: If its form is none for this family.
        """
        store = self._rooms.store
        version = store.current(request.slot) if request.number is None else store.version(request.slot, request.number)
        folder = store.adapter_folder(request.slot, version.number)
        if folder is None:
            raise UsageError(f"Generation {version.number} of slot {request.slot} is the plain base; export another.")
        target = Path(request.to).expanduser().absolute()
        from ..slots.generations import is_head_adapter

        is_head = is_head_adapter(folder)
        if request.form is AdapterForm.PEFT and not is_head:
            from ..slots.portable import export_peft

            await asyncio.to_thread(export_peft, folder, target)
        else:
            model = await self._rooms.model.model()
            self._rooms.check_base(request.slot, version, model.base.card)
            await asyncio.to_thread(self._with_base, request, folder, model, target)
        size = sum(file.stat().st_size for file in target.iterdir())
        return ExportedAdapter(folder=str(target), form=request.form, number=version.number, bytes=size)

    def _with_base(self, request: ExportSlot, folder: Path, model: Model, target: Path) -> None:
        from ..slots.adapter import Adapter
        from ..slots.portable import export_gguf, export_head, export_merged

        adapter = Adapter.load(folder)
        if request.form is AdapterForm.PEFT:
            export_head(adapter, model.base.folder, target, model.base.card.name)
            return
        if request.form is AdapterForm.MERGED:
            model.base.check_whole()
            export_merged(adapter, model.base.folder, target)
            return
        slot = self._rooms.store.slot(request.slot)
        name, prompt = model.base.card.name, slot.system_prompt
        export_gguf(adapter, model.base.folder, target, name=name, system=prompt, temperature=slot.temperature)


async def prepare_import(rooms: Rooms, request: ImportAdapter) -> tuple[Study, StudyJob]:
    """Return a begun study that tries an adapter of somebody else, and its job.

    Raises:
        NotFound: If there is no such slot, or no adapter in the folder.
        UsageError: If it is not a plain LoRA, or changes blocks that are not in the tail here.
        BaseMismatch: If it is for another base.
    """
    into = rooms.store.slot(request.into)
    return await begin_brought(rooms, into, Path(request.folder).expanduser().absolute())


async def begin_brought(
    rooms: Rooms, into: Slot, given: Path, origin: BundleOrigin | None = None
) -> tuple[Study, StudyJob]:
    """Return a begun study that tries the adapter in a folder, and its job.

    Args:
        rooms: With the base that it is for.
        into: The slot, which may be one that is yet to be made.
        given: A PEFT folder.
        origin: The bundle that it came in.

    Raises:
        As :func:`prepare_import`.
    """
    from ..study.job import MergePart, MergeTask
    from . import blending

    async def read(model: Model) -> Adapter:
        from ..base.halves import open_tail
        from ..slots.foreign import read_foreign

        return read_foreign(given, open_tail(model.base, model.cut).shapes())

    adapter = await rooms.model.do(read)
    task = MergeTask(strategy=blending.AS_IT_IS, parts=[], origin=origin, title=into.title)
    study, job = await blending.begin(rooms, into, task)
    folder = job.folder / "brought"
    folder.mkdir(parents=True, exist_ok=True)
    adapter.save(folder, (await rooms.model.model()).base.card.name)
    digest = generations.file_hash(folder / generations.WEIGHTS)
    part = MergePart(slot="", number=0, weight=1.0, adapter=folder, sha256=digest)
    return study, job.model_copy(update={"merge": task.model_copy(update={"parts": [part]})})
