"""Slots and their generations as plain files; the database is never the only place where a version lives.

    slots/first_slots                                        there once the first slots were made
    slots/<name>/slot.json                                   settings, replaced as a whole when they change
    slots/<name>/current                                     number of the generation in effect; absent: 0, the base
    slots/<name>/versions/000001/version.json                written once, never changed, read-only
    slots/<name>/versions/000001/adapter_model.safetensors   (both absent where the plain base is restored)
    slots/<name>/versions/000001/adapter_config.json
    slots/<name>/versions/000001/removed                     there where the two were removed (``gc.py``)

Order of writes for a new generation: its folder is filled under a name that begins with a dot, each file is synced, the
folder is renamed to its number, and only then ``current`` is replaced. A process killed at any moment therefore leaves
a dot folder, which readers ignore and the next writer removes; or a whole generation that is not current; or all of it.
"""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...schemas.errors import Damaged, NotFound, StorageError, UsageError
from ...schemas.records import BundleOrigin, MergeFacts, Slot, StudyReport, Version, VersionKind
from ..files import held, storage_errors, write_atomic
from . import generations, line
from .blend import check_weights
from .slot_file import NAME, SlotFile, check_name, name_from, one_line, read_slot_file

FIRST_MADE = "first_slots"
GONE = ".gone-"
"""What the name of a slot's folder begins with while the slot is removed for good."""
_FIRST_SLOTS = (
    ("science", "Science", "Questions about nature, measurement and how things work."),
    ("creative", "Creative", "Stories, verse and ideas."),
    ("gaming", "Gaming", "Games, their worlds and how to play them."),
    ("professional", "Professional", "Letters, plans and other work."),
)


class SlotStore:
    """The slots of one profile. Reading needs no lock; each writer holds the lock of its slot."""

    def __init__(self, folder: Path, permit: Callable[[Version], None] | None = None) -> None:
        """Use ``folder``, which is created with the first slot.

        ``permit`` is asked each time before the files of a generation are given out, and raises where they must not be.
        """
        self.folder = folder
        self._permit = permit
        self._verified: dict[Path, tuple[tuple[int, int, int], ...]] = {}
        self._facts = generations.Facts()

    # -- slots --------------------------------------------------------------------------------------------------------

    def ensure_defaults(self) -> None:
        """Create the four first slots, once: those that were deleted since stay away, unless no slot is left at all."""
        made = self.folder / FIRST_MADE
        if made.exists() and any(True for _ in self._names()):
            return
        for name, title, description in _FIRST_SLOTS:
            if not self._slot_file(name).exists():
                self.create(title, name=name, description=description)
        write_atomic(made, "")

    def list(self, *, deleted: bool = False) -> list[Slot]:
        """Return all slots, archived ones too, in the order they were made; ``deleted``: also those.

        One that does not read back is left out, so that it stands in no other's way; ``damaged`` names it.
        """
        found = []
        for name in self._names():
            with suppress(StorageError):
                found.append((self.settings(name).created, self.any_slot(name)))
        return [slot for _, slot in sorted(found, key=lambda item: item[0]) if deleted or slot.deleted is None]

    def damaged(self) -> dict[str, str]:
        """Return the slots that do not read back, and what is wrong with each."""
        found = {}
        for name in self._names():
            try:
                self.any_slot(name)
            except StorageError as error:
                found[name] = str(error)
        return found

    def slot(self, name: str) -> Slot:
        """Return one slot; ``waiting`` is 0 here, the database knows the lessons.

        Raises:
            NotFound: If there is none of this name, or it was deleted.
            Damaged: If its files do not read back.
        """
        return self._settings(name).slot(name, self._current_number(name))

    def any_slot(self, name: str) -> Slot:
        """Return one slot, a deleted one too.

        Raises:
            As ``slot``.
        """
        return self.settings(name).slot(name, self._current_number(name))

    def create(self, title: str, name: str = "", description: str = "", system_prompt: str = "") -> Slot:
        """Add a slot; where ``name`` is empty it is derived from the title.

        A slot whose ``slot.json`` was moved away gets a new one, and keeps its generations.

        Raises:
            UsageError: If the title is empty, or the name is empty, taken or not made of a-z, 0-9 and hyphens.
        """
        title = one_line(title)
        name = name or name_from(title)
        check_name(name)
        with storage_errors(self.folder), self.all_locked():
            anew = self._versions_folder(name).is_dir() and not self._slot_file(name).exists()
            if not anew:
                self.check_free(name)
            latest = max((settings.created for settings in self._all_settings()), default=0.0)
            settings = SlotFile(
                title=title,
                description=description.strip(),
                system_prompt=system_prompt,
                created=max(time.time(), latest + 1e-3),  # a clock that was set back must not change the order
            )
            content = _dumped(settings.model_dump())
            if anew:
                write_atomic(self._slot_file(name), content)
            else:
                with generations.new_folder(self.folder, name) as part:
                    (part / "versions").mkdir()
                    generations.write_synced(part / "slot.json", content)
        return self.slot(name)

    def update(
        self,
        name: str,
        *,
        title: str | None = None,
        description: str | None = None,
        system_prompt: str | None = None,
        temperature: float | None = None,
        base: str | None = None,
        blend: Mapping[str, float] | None = None,
        provider: str | None = None,
    ) -> Slot:
        """Change a slot's settings; None leaves a field as it is, an empty ``blend`` lets the slot speak alone.

        Raises:
            NotFound: If there is no slot of this name, or none of one that it shall blend.
            UsageError: If the title would be empty, the temperature is not within 0 and 5, or no blend has the weights.
        """
        changes: dict[str, Any] = {"description": description, "system_prompt": system_prompt, "base": base}
        changes["provider"] = provider
        if blend is not None:
            for other in blend:
                self._settings(other)
            if blend:
                check_weights(blend)
            changes["blend"] = dict(blend)
        changes["title"] = None if title is None else one_line(title)
        changes["temperature"] = temperature
        if temperature is not None and not 0.0 <= temperature <= 5.0:
            raise UsageError(f"A temperature lies between 0 and 5, not at {temperature}; give another.")
        self._settings(name)
        self.revise(name, **{key: value for key, value in changes.items() if value is not None})
        return self.slot(name)

    def revise(self, name: str, **fields: Any) -> None:
        """Write settings of a slot as they are given, of a deleted one too; nothing is written where nothing changes.

        Raises:
            NotFound: If there is no slot of this name.
            StorageError: If it cannot be written; the settings are as they were.
        """
        with self.locked(name):
            before = self.settings(name)
            settings = before.model_copy(update=fields)
            if settings != before:
                write_atomic(self._slot_file(name), _dumped(settings.model_dump()))

    def check_free(self, name: str) -> None:
        """Refuse a name that cannot be given to a slot.

        Raises:
            UsageError: If it is no name, or is taken.
        """
        check_name(name)
        if not ((self.folder / name).exists() or (self.folder / f"{GONE}{name}").exists()):
            if all(settings.formerly != name for settings in self._all_settings()):
                return
        elif (self.folder / name / "slot.json").is_file() and self.settings(name).deleted is not None:
            raise UsageError(
                f"A slot named {name} was deleted and can still come back (`nightschool slots undelete {name}`); "
                "choose another name."
            )
        raise UsageError(f"There is already a slot named {name}; choose another name.")

    # -- versions -----------------------------------------------------------------------------------------------------

    def versions(self, name: str) -> builtins.list[Version]:
        """Return all generations of a slot, the newest first; generation 0, the base, is the last."""
        self.settings(name)
        current = self._current_number(name)
        numbers = generations.numbers(self._versions_folder(name))
        return [self._version(name, number, current) for number in [*reversed(numbers), 0]]

    def version(self, name: str, number: int) -> Version:
        """Return one generation.

        Raises:
            NotFound: If the slot or the generation does not exist.
            Damaged: If its file does not read back.
        """
        self.settings(name)
        return self._version(name, number, self._current_number(name))

    def current(self, name: str) -> Version:
        """Return the generation in effect."""
        self.settings(name)
        number = self._current_number(name)
        try:
            return self._version(name, number, number)
        except NotFound as error:
            raise Damaged(
                f"Slot {name} points at generation {number}, which is not there; write the number of one that is "
                f"into {self._current_file(name)}."
            ) from error

    def latest_lesson(self) -> int:
        """Return the highest number of a lesson that any generation names; one that does not read back names none."""
        latest = 0
        for name in self._names():
            folder = self._versions_folder(name)
            for number in generations.numbers(folder) if folder.is_dir() else ():
                with suppress(StorageError):
                    found = self._facts.read(folder, number)
                    latest = max([latest, *(found.lessons if found is not None else ())])
        return latest

    def add_version(
        self,
        name: str,
        adapter: Path | None,
        *,
        base: str,
        lessons: Sequence[int] = (),
        report: StudyReport | None = None,
        kind: VersionKind = VersionKind.STUDY,
        merge: MergeFacts | None = None,
        origins: Sequence[BundleOrigin] | None = None,
        source: str = "",
        activate: bool = True,
    ) -> Version:
        """Make a new generation current: a copy of the PEFT folder ``adapter``, or None for the plain base.

        With ``activate`` False it is only kept; a rollback to it makes it answer. ``origins`` are the bundles whose
        weights are in it; None: those of what it was made from, which are the parents of a merge, else the generation
        in effect.

        Raises:
            NotFound: If there is no slot of this name, or no adapter in the folder.
            DiskFull: If no space is left; the slot is as it was.
        """
        self._settings(name)
        with self._locked(self.folder / name):
            if origins is None:
                origins = self._origins(name, merge)
            return self._add(
                name,
                adapter,
                base=base,
                lessons=lessons,
                report=report,
                kind=kind,
                merge=merge,
                origins=origins,
                source=source,
                activate=activate,
            )

    def rollback(self, name: str, to: int | None = None) -> Version:
        """Make a new generation that equals an old one.

        ``to`` None takes the parent of the state in effect on its base (``line.py``): a rollback counts as what it
        restored, so that rolling back twice walks two steps back and never to and fro. ``to`` 0 restores the plain
        base.

        Raises:
            NotFound: If the slot or the generation does not exist.
            UsageError: If nothing is left to go back to, or the state is in effect already.
            Damaged: If the old generation does not read back.
        """
        self._settings(name)
        with self._locked(self.folder / name):
            target = self._before_current(name) if to is None else self._not_current(name, to)
            return self._add(
                name,
                self.adapter_folder(name, target.number),
                base=target.base,
                lessons=target.lessons,
                report=None,
                kind=VersionKind.ROLLBACK,
                restores=target.number,
                origins=target.origins,
                source=target.source,
            )

    def point(self, name: str, number: int) -> None:
        """Let a generation answer that is there, without a new one; ``bases.py`` says when that may be.

        Raises:
            NotFound: If the slot or the generation does not exist.
            Locked, StorageError: If it cannot be written.
        """
        self.version(name, number)
        with self._locked(self.folder / name):
            write_atomic(self._current_file(name), f"{number}\n")

    def adapter_folder(self, name: str, number: int | None = None) -> Path | None:
        """Return the PEFT folder of a generation (None: the current one), or None where the plain base answers.

        Raises:
            NotFound: If the slot or the generation does not exist, or its files were removed.
            Damaged: If the adapter is not the one that was stored.
            MarketError: If it came from a bundle that was revoked, or of which that cannot be found out.
        """
        version = self.current(name) if number is None else self.version(name, number)
        if version.adapter_sha256 is None:
            return None
        if version.removed:
            raise NotFound(
                f"The files of generation {version.number} of slot {name} were removed by `slots gc`; choose another "
                "generation, or restore them from a backup."
            )
        if self._permit is not None:
            self._permit(version)
        folder = self._versions_folder(name) / generations.folder_name(version.number)
        with storage_errors(folder):
            # Hashing takes a while for a large adapter and the files never change: once for each state of the files.
            stamp = generations.stamp(folder)
            if self._verified.get(folder) != stamp:
                generations.verify(folder, f"generation {version.number} of slot {name}")
                self._verified[folder] = stamp
        return folder

    # -- files --------------------------------------------------------------------------------------------------------

    def _add(
        self,
        name: str,
        adapter: Path | None,
        *,
        base: str,
        lessons: Sequence[int],
        report: StudyReport | None,
        kind: VersionKind,
        restores: int | None = None,
        merge: MergeFacts | None = None,
        origins: Sequence[BundleOrigin] = (),
        source: str = "",
        activate: bool = True,
    ) -> Version:
        """Write a generation, and point ``current`` at it unless it shall wait. The lock is held."""
        parent = self._current_number(name)
        folder = self._versions_folder(name)
        with storage_errors(folder):
            generations.remove_leftovers(folder)
            number = max(generations.numbers(folder), default=0) + 1
            facts = Version(
                slot=name,
                number=number,
                kind=kind,
                parent=parent,
                base=base,
                created=time.time(),
                restores=restores,
                lessons=[*lessons],
                report=report,
                merge=merge,
                origins=[*origins],
                source=source,
            )
            # Only a folder of ours is linked: it is read-only, while a candidate may still be written by its maker.
            generations.write(folder, facts, adapter, link=kind is VersionKind.ROLLBACK)
        if activate:
            write_atomic(self._current_file(name), f"{number}\n")
        return self._version(name, number, number if activate else parent)

    def _origins(self, name: str, merge: MergeFacts | None) -> builtins.list[BundleOrigin]:
        """Return the bundles whose weights are in what a new generation is made from, each once."""
        parts = [(part.slot, part.number) for part in merge.parents] if merge else [(name, self._current_number(name))]
        found: dict[str, BundleOrigin] = {}
        for slot, number in parts:
            with suppress(NotFound, Damaged):  # then its weights could not be read either, and nothing was made of them
                found |= {origin.id: origin for origin in self.version(slot, number).origins}
        return [*found.values()]

    def _before_current(self, name: str) -> Version:
        """Return what the state in effect was made from, on its own base."""
        found = line.before(self.current(name), partial(self.version, name))
        if found is None:
            raise UsageError(f"Slot {name} is at the plain base; there is nothing left to roll back to.")
        return found

    def _not_current(self, name: str, number: int) -> Version:
        """Return a generation that differs from the state in effect."""
        target = self.version(name, number)
        try:
            in_effect = line.effective(self.current(name), partial(self.version, name)).number
        except Damaged:  # then leaving it for a whole one is just what is wanted
            return target
        if line.effective(target, partial(self.version, name)).number == in_effect:
            raise UsageError(f"Generation {number} of slot {name} is what is in effect; choose another.")
        return target

    def _version(self, name: str, number: int, current: int) -> Version:
        if number == 0:
            created = self.settings(name).created
            base = Version(slot=name, number=0, kind=VersionKind.BASE, parent=None, base="", created=created)
            return base.model_copy(update={"current": current == 0})
        found = self._facts.read(self._versions_folder(name), number)
        if found is None:
            raise NotFound(f"Slot {name} has no generation {number}; list its versions to see which there are.")
        removed = (self._versions_folder(name) / generations.folder_name(number) / generations.REMOVED).exists()
        pinned = number in self.settings(name).pinned
        return found.model_copy(
            update={"slot": name, "current": number == current, "pinned": pinned, "removed": removed}
        )

    def _current_number(self, name: str) -> int:
        return generations.pointed_at(self._current_file(name))

    def _settings(self, name: str) -> SlotFile:
        """Return the settings of a slot that was not deleted."""
        found = self.settings(name)
        if found.deleted is not None:
            raise NotFound(f"Slot {name} was deleted; `nightschool slots undelete {name}` brings it back.")
        return found

    def settings(self, name: str) -> SlotFile:
        """Return what the file of a slot says, of a deleted one too.

        Raises:
            NotFound: If there is no slot of this name.
            Damaged: If it does not read back.
        """
        return read_slot_file(self._slot_file(name), name)

    def _all_settings(self) -> Iterator[SlotFile]:
        """Give what is said by the files of all slots that read back, deleted ones too."""
        return (self.settings(slot.name) for slot in self.list(deleted=True))

    def _names(self) -> Iterator[str]:
        with storage_errors(self.folder):
            if self.folder.is_dir():
                for entry in sorted(self.folder.iterdir()):
                    if NAME.fullmatch(entry.name) and (entry / "slot.json").is_file():
                        yield entry.name

    def _slot_file(self, name: str) -> Path:
        check_name(name)
        return self.folder / name / "slot.json"

    def _current_file(self, name: str) -> Path:
        return self.folder / name / "current"

    def _versions_folder(self, name: str) -> Path:
        return self.folder / name / "versions"

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock of a slot, for whoever changes its files from outside.

        Raises:
            NotFound: If there is no slot of this name.
            Locked: If another one writes it.
        """
        self.settings(name)
        with self._locked(self.folder / name):
            yield

    @contextmanager
    def all_locked(self) -> Iterator[None]:
        """Hold the lock of the whole store, for whoever makes, moves or removes slots.

        Raises:
            Locked: If another one does.
        """
        with self._locked(self.folder):
            yield

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        with held(folder / ".lock", f"{folder} is being written by another Night School; close that and try again."):
            with storage_errors(folder):
                generations.remove_leftovers(folder)
            yield


def _dumped(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
