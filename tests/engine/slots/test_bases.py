"""One slot on several bases: which generation answers where, read from the generations alone."""

from __future__ import annotations

import pytest

from nightschool.engine.slots.bases import answering, newest_for, turn
from nightschool.engine.slots.gc import collect
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import Damaged
from nightschool.schemas.records import BundleOrigin, VersionKind

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32
ORIGIN = BundleOrigin(id="ab" * 32, publisher="ann", slot="x", version="1.0.0", seq=1, signers=[], threshold=1)


@pytest.fixture
def store(tmp_path):
    store = SlotStore(tmp_path / "slots")
    store.ensure_defaults()
    return store


@pytest.fixture
def add(store, tmp_path):
    def add(base, *, activate=True, **more):
        folder = tmp_path / "adapter"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_model.safetensors").write_bytes(f"{base} {len(store.versions('science'))}".encode())
        (folder / "adapter_config.json").write_text("{}")
        return store.add_version("science", folder, base=base, activate=activate, **more).number

    return add


def current(store):
    return store.current("science").number


def test_with_each_base_the_newest_that_was_made_for_it_answers(store, add):
    add(A)
    assert add(A) == 2
    assert add(B, activate=False) == 3
    assert current(store) == 2
    assert turn(store, "science", A) is None
    assert turn(store, "science", B).number == 3 == current(store)
    assert turn(store, "science", B) is None
    assert add(B) == 4
    assert turn(store, "science", A).number == 2 == current(store)
    assert turn(store, "science", B).number == 4 == current(store)
    assert answering(store.versions("science")) == {2, 4}


def test_where_none_was_made_for_a_base_nothing_changes(store, add):
    assert turn(store, "science", A) is None
    add(A)
    assert turn(store, "science", C) is None
    assert current(store) == 1, "nobody speaks as the plain base without being told"
    assert newest_for(store.versions("science"), C) is None


def test_a_rollback_counts_as_what_it_restored_on_its_base(store, add):
    add(A)
    add(A)
    add(B, activate=False)
    store.rollback("science", 1)
    assert turn(store, "science", B).number == 3
    assert turn(store, "science", A).number == 4


def test_a_step_back_leads_to_nothing_of_another_base(store, add):
    add(A)
    add(A)
    add(B, activate=False)
    turn(store, "science", B)
    add(B)
    assert store.rollback("science").restores == 3
    collect(store, 1, dry_run=False)
    assert store.rollback("science").restores == 0, "the third was taught where the second answered"
    assert turn(store, "science", B) is None and store.adapter_folder("science") is None


def test_a_step_back_passes_over_what_answered_elsewhere_meanwhile(store, add):
    add(A)
    add(B)
    add(A)
    assert store.rollback("science").restores == 1
    for _ in range(2):
        add(B)
    add(A)
    collect(store, 1, dry_run=False)
    assert not store.version("science", 1).removed
    assert store.rollback("science").restores == 1


def test_who_went_back_to_the_plain_base_stays_there(store, add):
    add(A)
    add(B, activate=False)
    store.rollback("science", 0)
    assert turn(store, "science", B) is None and current(store) == 3
    add(B, activate=False)
    assert turn(store, "science", B).number == 4, "it was taught since"
    assert turn(store, "science", A).number == 3, "there it was put back to the plain base"


def test_a_slot_that_learned_nothing_here_can_be_taught_elsewhere_first(store, add):
    add(B, activate=False)
    assert turn(store, "science", A) is None and current(store) == 0
    assert turn(store, "science", B).number == 1


def test_a_bundle_waits_until_it_is_activated(store, add):
    add(A)
    add(B, activate=False, kind=VersionKind.IMPORT, origins=[ORIGIN])
    assert turn(store, "science", B) is None
    store.rollback("science", 2)
    assert turn(store, "science", A).number == 1
    assert turn(store, "science", B).number == 3


def test_an_old_generation_that_answers_elsewhere_keeps_its_files(store, add):
    add(A)
    add(B, activate=False)
    for _ in range(4):
        add(A)
    collect(store, 1, dry_run=False)
    removed = {version.number for version in store.versions("science") if version.removed}
    assert removed == {1, 3, 4}, "the second answers with B, the fifth is the way back"
    assert turn(store, "science", B).number == 2
    store.adapter_folder("science")


def test_what_was_removed_does_not_answer(store, add):
    add(A)
    add(B, activate=False)
    (store.folder / "science" / "versions" / "000002" / "removed").touch()
    assert turn(store, "science", B) is None


def test_what_does_not_read_is_said(store, add):
    add(A)
    add(B, activate=False)
    file = store.folder / "science" / "versions" / "000002" / "version.json"
    file.chmod(0o644)
    file.write_text("{")
    with pytest.raises(Damaged):
        turn(store, "science", B)
    assert current(store) == 1
