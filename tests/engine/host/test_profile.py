"""What holds once a profile is open, whatever became of its files before."""

from __future__ import annotations

import json

import pytest

from nightschool.engine.host.profile import open_profile
from nightschool.engine.records import Records
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.messages import EngineStatus


@pytest.fixture
def opened(home):
    """Open the profile, look, and close it again."""

    def look(at):
        profile = open_profile(
            home, "", broadcast=print, status=lambda: EngineStatus(state="waking"), tell_status=print
        )
        try:
            return at(profile.rooms)
        finally:
            profile.close()

    return look


@pytest.fixture
def store(home):
    store = SlotStore(home.slots)
    store.ensure_defaults()
    return store


def learn(store, tmp_path, slot, lessons):
    folder = tmp_path / "candidate"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_text(f"{slot} {lessons}")
    (folder / "adapter_config.json").write_text(json.dumps({}))
    store.add_version(slot, folder, base="ab", lessons=lessons)


def add(rooms):
    return rooms.records.add_lesson("science", "Be brief.").id


def test_no_lesson_gets_a_number_that_a_generation_names_for_another(home, opened, store, tmp_path):
    learn(store, tmp_path, "science", [1, 40])
    learn(store, tmp_path, "science", [1])
    learn(store, tmp_path, "gaming", [7])
    spoilt = store.folder / "gaming" / "versions" / "000001" / "version.json"
    spoilt.chmod(0o644)
    spoilt.write_text("{")
    assert opened(add) == 41, "the database is new, as where a damaged one was moved away"
    assert opened(add) == 42


def test_a_database_that_is_ahead_counts_on(home, opened, store, tmp_path):
    with Records(home.database) as records:
        assert [records.add_lesson("science", "Be brief.").id for _ in range(3)] == [1, 2, 3]
    learn(store, tmp_path, "science", [2])
    assert opened(add) == 4
