"""Random sequences of all that can be done to a store, beside a plain model of it that knows no files."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nightschool.engine.slots import lifecycle
from nightschool.engine.slots.check import check_store
from nightschool.engine.slots.gc import collect, pin
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import NotFound, UsageError
from nightschool.schemas.records import VersionKind

NAMES = ("art", "bees", "cars")
NEW_NAMES = ("art", "bees", "cars", "dogs")


@dataclass(frozen=True)
class Generation:
    """What is known of one: ``content`` None is the plain base."""

    content: str | None
    parent: int | None
    restores: int | None = None
    gone: bool = False


@dataclass
class Known:
    """What is known of a slot; the last generation is the current one, as every change appends."""

    title: str
    line: list[Generation] = field(default_factory=lambda: [Generation(None, None)])
    archived: bool = False
    deleted: bool = False
    pinned: set[int] = field(default_factory=set)
    blend: dict[str, float] = field(default_factory=dict)

    @property
    def current(self) -> int:
        return len(self.line) - 1

    def chain(self, number: int) -> list[int]:
        """Return a generation and what it restores, to the end."""
        found = [number]
        while (following := self.line[found[-1]].restores) is not None:
            found.append(following)
        return found

    def effective(self, number: int) -> int:
        return self.chain(number)[-1]


class Refused(Exception):
    """The model says that this cannot be done."""


class StoreMachine(RuleBasedStateMachine):
    """Each rule does the same to the store and to the model, and expects both to agree, in refusing too."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-model-"))
        self.slots = SlotStore(self.folder / "slots")
        self.model: dict[str, Known] = {}
        self.counter = 0
        self.quick = mock.patch.object(os, "fsync", lambda handle: None)  # no power is cut here
        self.quick.start()

    def teardown(self) -> None:
        try:
            assert check_store(self.slots).findings == []
        finally:
            self.quick.stop()
            shutil.rmtree(self.folder)

    @initialize()
    def first(self) -> None:
        self.slots.create("art")
        self.model["art"] = Known("art")

    # -- what can be done -----------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES))
    def create(self, name: str) -> None:
        with self.agreeing():
            if name in self.model:
                raise Refused
            self.model[name] = Known(name)
        self.tried(lambda: self.slots.create(name))

    @rule(name=st.sampled_from(NEW_NAMES))
    def study(self, name: str) -> None:
        self.counter += 1
        content = f"weights {self.counter}"
        with self.agreeing():
            slot = self.usable(name)
            slot.line.append(Generation(content, slot.current))
        self.tried(lambda: self.slots.add_version(name, self.candidate(content), base="f", lessons=[self.counter]))

    @rule(name=st.sampled_from(NEW_NAMES), to=st.one_of(st.none(), st.integers(0, 6)))
    def rollback(self, name: str, to: int | None) -> None:
        with self.agreeing():
            slot = self.usable(name)
            effective = slot.effective(slot.current)
            if to is None:
                parent = slot.line[effective].parent
                if parent is None:
                    raise Refused
                target = slot.effective(parent)
            elif to > slot.current or slot.effective(to) == effective:
                raise Refused
            else:
                target = to
            if slot.line[target].gone:
                raise Refused
            slot.line.append(Generation(slot.line[target].content, slot.current, restores=target))
        self.tried(lambda: self.slots.rollback(name, to))

    @rule(name=st.sampled_from(NEW_NAMES), new=st.sampled_from(NEW_NAMES))
    def fork(self, name: str, new: str) -> None:
        with self.agreeing():
            slot = self.usable(name)
            if new in self.model:
                raise Refused
            made = self.model[new] = Known(new)
            if slot.line[-1].content is not None:
                made.line.append(Generation(slot.line[-1].content, 0))

        def fork_it() -> None:
            folder = self.slots.adapter_folder(self.slots.slot(name).name)
            self.slots.create(new)
            if folder is not None:
                self.slots.add_version(new, folder, base="f", kind=VersionKind.FORK)

        self.tried(fork_it)

    @rule(name=st.sampled_from(NEW_NAMES), other=st.sampled_from(NAMES))
    def speak_with(self, name: str, other: str) -> None:
        with self.agreeing():
            self.usable(other)
            self.usable(name).blend = {other: 1.0}
        self.tried(lambda: self.slots.update(name, blend={other: 1.0}))

    @rule(name=st.sampled_from(NEW_NAMES), title=st.sampled_from(("One", "Two")))
    def title(self, name: str, title: str) -> None:
        with self.agreeing():
            self.usable(name).title = title
        self.tried(lambda: self.slots.update(name, title=title))

    @rule(name=st.sampled_from(NEW_NAMES), new=st.sampled_from(NEW_NAMES))
    def rename(self, name: str, new: str) -> None:
        with self.agreeing():
            self.usable(name)
            if new in self.model:
                raise Refused
            self.model = {new if key == name else key: slot for key, slot in self.model.items()}
            for slot in self.model.values():
                slot.blend = {new if key == name else key: weight for key, weight in slot.blend.items()}

        def move() -> None:
            lifecycle.begin_move(self.slots, name, new)
            lifecycle.finish_move(self.slots, new)

        self.tried(move)

    @rule(name=st.sampled_from(NEW_NAMES), archived=st.booleans())
    def archive(self, name: str, archived: bool) -> None:
        with self.agreeing():
            slot = self.usable(name)
            if archived and not slot.archived:
                self.leave_one(name)
            slot.archived = archived
        self.tried(lambda: lifecycle.set_archived(self.slots, name, archived=archived))

    @rule(name=st.sampled_from(NEW_NAMES))
    def delete(self, name: str) -> None:
        with self.agreeing():
            if name not in self.model:
                raise Refused
            slot = self.model[name]
            if not slot.deleted:
                self.leave_one(name)
                if any(name in row.blend for key, row in self.model.items() if key != name and not row.deleted):
                    raise Refused
                slot.deleted = True
        self.tried(lambda: lifecycle.delete(self.slots, name))

    @rule(name=st.sampled_from(NEW_NAMES))
    def undelete(self, name: str) -> None:
        with self.agreeing():
            if name not in self.model:
                raise Refused
            slot = self.model[name]
            if slot.deleted:
                slot.deleted = False
                here = {key for key, row in self.model.items() if not row.deleted}
                slot.blend = slot.blend if here >= slot.blend.keys() else {}
        self.tried(lambda: lifecycle.undelete(self.slots, name))

    @rule()
    def thirty_days_pass(self) -> None:
        gone = [name for name, slot in self.model.items() if slot.deleted]
        assert sorted(lifecycle.expired(self.slots, time.time() + lifecycle.KEPT_SECONDS)) == sorted(gone)
        assert lifecycle.expired(self.slots, time.time() + lifecycle.KEPT_SECONDS - 3600) == []
        for name in gone:
            lifecycle.begin_removal(self.slots, name)
            lifecycle.finish_removal(self.slots, name)
            del self.model[name]

    @rule(name=st.sampled_from(NEW_NAMES), number=st.integers(0, 5), pinned=st.booleans())
    def pin(self, name: str, number: int, pinned: bool) -> None:
        with self.agreeing():
            slot = self.usable(name)
            if number > slot.current:
                raise Refused
            if pinned and (slot.line[number].content is None or slot.line[number].gone):
                raise Refused
            slot.pinned = slot.pinned | {number} if pinned else slot.pinned - {number}
        self.tried(lambda: pin(self.slots, name, number, pinned=pinned))

    @rule(keep=st.one_of(st.none(), st.integers(1, 3)))
    def gc(self, keep: int | None) -> None:
        expected = set()
        for name, slot in self.model.items():
            if slot.deleted or keep is None:
                continue
            full = [number for number, one in enumerate(slot.line) if one.content is not None]
            stay = {*full[-keep:], *slot.pinned, *slot.chain(slot.current)}
            for number in (slot.current, slot.effective(slot.current)):
                parent = slot.line[number].parent
                stay |= set() if parent is None else set(slot.chain(parent))
            for number in set(full) - stay:
                if not slot.line[number].gone:
                    expected.add((name, number))
                slot.line[number] = replace(slot.line[number], gone=True)
        planned = collect(self.slots, keep, dry_run=True)
        found = collect(self.slots, keep, dry_run=False)
        assert found == planned
        assert {(row.slot, row.number) for row in found if row.number is not None} == expected
        assert collect(self.slots, keep, dry_run=False) == []

    @rule()
    def start_anew(self) -> None:
        """Nothing is known but what lies on the disk; a killed writer left something there."""
        (self.slots.folder / ".new-half").mkdir(exist_ok=True)
        self.slots = SlotStore(self.slots.folder)

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        assert [slot.name for slot in self.slots.list()] == [k for k, slot in self.model.items() if not slot.deleted]
        assert [slot.name for slot in self.slots.list(deleted=True)] == list(self.model)
        for name, known in self.model.items():
            slot = self.slots.any_slot(name)
            assert (slot.title, slot.current, slot.blend) == (known.title, known.current, known.blend)
            assert (slot.archived is not None, slot.deleted is not None) == (known.archived, known.deleted)
            versions = list(reversed(self.slots.versions(name)))
            assert [row.number for row in versions] == list(range(len(known.line)))
            for row, one in zip(versions, known.line, strict=True):
                assert (row.parent, row.restores, row.removed) == (one.parent, one.restores, one.gone)
                assert (row.pinned, row.current) == (row.number in known.pinned, row.number == known.current)
                if not one.gone:
                    assert self.content(name, row.number) == one.content
        if self.model:
            assert any(not slot.archived and not slot.deleted for slot in self.model.values())

    # -- help -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def agreeing(self) -> Iterator[None]:
        self.refused = False
        try:
            yield
        except Refused:
            self.refused = True

    def tried(self, act: object) -> None:
        """Do it to the store, which must refuse just where the model did."""
        try:
            act()  # type: ignore[operator]
        except (NotFound, UsageError):
            assert self.refused
        else:
            assert not self.refused

    def usable(self, name: str) -> Known:
        if name not in self.model or self.model[name].deleted:
            raise Refused
        return self.model[name]

    def leave_one(self, name: str) -> None:
        others = [key for key, slot in self.model.items() if not slot.archived and not slot.deleted and key != name]
        if not others:
            raise Refused

    def candidate(self, content: str) -> Path:
        folder = self.folder / "candidate"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_model.safetensors").write_text(content)
        (folder / "adapter_config.json").write_text("{}")
        return folder

    def content(self, name: str, number: int) -> str | None:
        folder = self.slots.adapter_folder(name, number)
        return None if folder is None else (folder / "adapter_model.safetensors").read_text()


StoreMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
TestStore = StoreMachine.TestCase
