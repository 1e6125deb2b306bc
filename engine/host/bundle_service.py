"""Versions that are given to others, and those that come from them. Bundles themselves are the marketplace's."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ...schemas.errors import ModelError, ModelNotFound, NotFound, UsageError
from ...schemas.messages import ConvertBundle, DescribeVersion, TakeBundle
from ...schemas.records import AdapterForm, ExportedAdapter, Slot, StudyState, Version, VersionKind
from ...schemas.sharing import BundleTaken, Shareable, ShareBase, ShareGate, ShareParent
from ..base.installed import Installed, installed, projections
from ..slots import generations
from ..slots.slot_file import one_line
from .rooms import Rooms, Tell
from .slot_service import ensure_slot
from .study_service import StudyService


class BundleService:
    """Handlers of ``bundles.*``."""

    def __init__(self, rooms: Rooms, studies: StudyService) -> None:
        self._rooms = rooms
        self._studies = studies

    async def describe(self, request: DescribeVersion, tell: Tell) -> Shareable:
        """Say of a version what others may know.

        Raises:
            NotFound: If there is no such slot or version.
            UsageError: If it is the plain base.
            ModelNotFound: If its base is not on this machine, which alone says what it is.
            Damaged, MarketError: If its files may not be used.
        """
        store = self._rooms.store
        version = store.current(request.slot) if request.number is None else store.version(request.slot, request.number)
        folder = store.adapter_folder(request.slot, version.number)
        if folder is None:
            raise UsageError(f"Generation {version.number} of slot {request.slot} is the plain base; share another.")
        if generations.is_head_adapter(folder):
            raise UsageError(
                f"Slot {request.slot} has learned in a head adapter, and bundles hold changes of blocks alone; export "
                "it as PEFT, or study its lessons where blocks can learn."
            )
        made = self._made(version)
        report = made.report
        return Shareable(
            slot=request.slot,
            title=store.slot(request.slot).title,
            number=version.number,
            created=version.created,
            folder=str(folder),
            base=self._base(version),
            routed=(folder / generations.ROUTER).is_file(),
            trainer=report.trainer if report else "",
            steps=report.steps if report else 0,
            examples=report.examples if report else 0,
            gates=[
                ShareGate(name=gate.name, passed=gate.passed, value=gate.value, limit=gate.limit)
                for gate in (report.gates if report else ())
            ],
            curve=[(point.step, point.loss, point.kl) for point in (report.curve if report else ())],
            parents=self._parents(made),
        )

    async def convert(self, request: ConvertBundle, tell: Tell) -> ExportedAdapter:
        """Write an adapter of a bundle for llama.cpp and Ollama.

        Raises:
            ModelNotFound: If its base is not on this machine.
            BaseMismatch: If it does not fit that.
            UnsupportedFamily, UsageError: As of an export.
        """
        base = self._here(request.base)
        if base is None:
            raise ModelNotFound(
                f"The base of this bundle ({request.base[:12]}) is not on this machine, and its configuration says how "
                "a GGUF is laid out; fetch it with `nightschool models pull`, or export as PEFT."
            )
        target = Path(request.to).expanduser().absolute()
        await asyncio.to_thread(_convert, request, base, target)
        size = sum(file.stat().st_size for file in target.iterdir())
        return ExportedAdapter(folder=str(target), form=AdapterForm.GGUF, number=0, bytes=size)

    async def take(self, request: TakeBundle, tell: Tell) -> BundleTaken:
        """Keep an adapter of a bundle as a version that does not answer yet.

        Raises:
            NotFound, UsageError, BaseMismatch: If it cannot be used here.
            StudyRunning: If a study is under way.
        """
        store = self._rooms.store
        known = next((slot for slot in store.list() if slot.name == request.into), None)
        if known is None:
            store.check_free(request.into)
            title = one_line(request.title or request.into)
            known = Slot(name=request.into, title=title, system_prompt=request.system_prompt)
        why_not = await self._untried(request.base)
        if why_not:
            version = await asyncio.to_thread(self._keep, request, known)
            return BundleTaken(slot=known.name, version=version, note=why_not)
        study = await self._studies.try_bundle(known, Path(request.folder), request.origin)
        accepted = study.state is StudyState.ACCEPTED and study.version is not None
        kept = store.version(known.name, study.version) if accepted and study.version is not None else None
        return BundleTaken(slot=known.name, version=kept, study=study)

    async def _untried(self, fingerprint: str) -> str:
        """Return why the gates cannot be run here; empty: they can."""
        try:
            card = (await self._rooms.model.model()).base.card
        except ModelError as error:
            return f"Its replies were not tried, for no base is loaded: {error}"
        if card.fingerprint != fingerprint:
            return (
                f"Its replies were not tried, for {card.name} is loaded and it belongs to another base; load that one "
                "with --model and import it again to have it tried."
            )
        return ""

    def _keep(self, request: TakeBundle, into: Slot) -> Version:
        """Store an adapter whose replies cannot be tried here."""
        from ..slots.foreign import read_foreign

        adapter = read_foreign(Path(request.folder), None)
        with tempfile.TemporaryDirectory(prefix="nightschool-bundle-") as folder:
            adapter.save(Path(folder), request.origin.slot)
            ensure_slot(self._rooms, into.name, into.title, into.system_prompt)
            return self._rooms.store.add_version(
                into.name,
                Path(folder),
                base=request.base,
                kind=VersionKind.IMPORT,
                origins=[request.origin],
                activate=False,
            )

    def _made(self, version: Version) -> Version:
        """Return the version that a chain of rollbacks ends at: it has the report."""
        while version.restores is not None:
            version = self._rooms.store.version(version.slot, version.restores)
        return version

    def _here(self, fingerprint: str) -> Installed | None:
        """Return the base of a fingerprint, if it is on this machine."""
        found = installed(self._rooms.home)
        return next((one for one in found if one.card is not None and one.card.fingerprint == fingerprint), None)

    def _base(self, version: Version) -> ShareBase:
        one = self._here(version.base)
        if one is not None and (card := one.card) is not None:
            return ShareBase(
                name=card.name,
                source=one.spec,
                family=card.family,
                width=card.width,
                layers=card.layers,
                vocabulary=card.vocabulary,
                config_hash=card.config_hash,
                tokenizer_hash=card.tokenizer_hash,
                template_hash=card.template_hash,
                tensors_hash=card.tensors_hash,
            )
        raise ModelNotFound(
            f"The base of generation {version.number} of slot {version.slot} ({version.base[:12]}) is not on this "
            "machine; fetch it with `nightschool models pull`, for the bundle must say what it is."
        )

    def _parents(self, version: Version) -> list[ShareParent]:
        if version.merge is not None:
            return [
                ShareParent(
                    adapter_sha256=part.adapter_sha256,
                    weight=part.weight,
                    method=version.merge.strategy,
                    bundle=self._bundle_of(part.slot, part.number),
                )
                for part in version.merge.parents
            ]
        how = "as it came" if version.kind is VersionKind.IMPORT else "trained on"
        return [
            ShareParent(adapter_sha256=version.adapter_sha256 or "", weight=1.0, method=how, bundle=origin.id)
            for origin in version.origins
        ]

    def _bundle_of(self, slot: str, number: int) -> str | None:
        """Return the bundle that a version is just as it came in."""
        try:
            version = self._rooms.store.version(slot, number)
        except NotFound:
            return None
        unchanged = self._made(version).kind is VersionKind.IMPORT and len(version.origins) == 1
        return version.origins[0].id if unchanged else None


def _convert(request: ConvertBundle, base: Installed, target: Path) -> None:
    from ..slots.foreign import read_foreign
    from ..slots.portable import export_gguf

    adapter = read_foreign(Path(request.folder), projections(base.folder))
    name = base.card.name if base.card is not None else ""
    export_gguf(adapter, base.folder, target, name=name, system=request.system, temperature=0.0)
