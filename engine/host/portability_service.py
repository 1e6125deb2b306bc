"""Slots out of Night School and adapters into it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import UsageError
from ...schemas.messages import ExportSlot, ImportAdapter
from ...schemas.records import AdapterForm, BundleOrigin, ExportedAdapter, Slot, Study
from ..base.installed import projections
from ..slots import generations
from .rooms import Rooms, Tell

FETCHED = "adapters"
"""Folder of the cache in which adapters lie that were fetched from the hub."""

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
    into, given = rooms.store.slot(request.into), Path(request.folder).expanduser().absolute()
    begun = await begin_brought(rooms, into, given, source=request.source or str(given), keep_upper=request.keep_upper)
    if given.parent == rooms.home.cache / FETCHED:
        await asyncio.to_thread(shutil.rmtree, given, ignore_errors=True)  # the study has a copy
    return begun


async def begin_brought(
    rooms: Rooms,
    into: Slot,
    given: Path,
    origin: BundleOrigin | None = None,
    *,
    source: str = "",
    keep_upper: bool = False,
) -> tuple[Study, StudyJob]:
    """Return a begun study that tries the adapter in a folder, and its job.

    Args:
        rooms: With the base that it is for.
        into: The slot, which may be one that is yet to be made.
        given: A PEFT folder.
        origin: The bundle that it came in.
        source: Where it came from, if not in a bundle.
        keep_upper: Whether of one that reaches below the tail the rest is tried.

    Raises:
        As :func:`prepare_import`.
    """
    from ..study.job import MergePart, MergeTask
    from . import blending

    async def read(model: Model) -> tuple[Adapter, Adapter]:
        from ..base.halves import open_tail
        from ..slots.foreign import read_foreign
        from ..study.projected import upper_part

        shapes = open_tail(model.base, model.cut).shapes()
        whole = read_foreign(given, projections(model.base.folder) if keep_upper else shapes)
        return upper_part(whole, min(block for block, _ in shapes)), whole

    adapter, whole = await rooms.model.do(read)
    task = MergeTask(strategy=blending.AS_IT_IS, parts=[], origin=origin, title=into.title, source=source)
    study, job = await blending.begin(rooms, into, task)
    base = (await rooms.model.model()).base.card.name
    folder = _saved(adapter, job.folder / "brought", base)
    digest = generations.file_hash(folder / generations.WEIGHTS)
    part = MergePart(slot="", number=0, weight=1.0, adapter=folder, sha256=digest)
    below = len(whole.factors) > len(adapter.factors)
    found = {"parts": [part], "whole": _saved(whole, job.folder / "whole", base) if below else None}
    return study, job.model_copy(update={"merge": task.model_copy(update=found)})


def _saved(adapter: Adapter, folder: Path, base: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    adapter.save(folder, base)
    return folder
