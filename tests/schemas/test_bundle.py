"""The published JSON Schema of bundles is that of the records: both take and refuse the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nightschool.schemas.bundle import Manifest, Metrics, SlotConfig, json_schema
from nightschool.tests.marketplace.bundle.hostile import parts, raw_files
from nightschool.tests.marketplace.bundle.plain_reader import closed

PUBLISHED = Path(__file__).parents[2] / "schemas" / "bundle.schema.json"
RECORDS = {"Manifest": Manifest, "SlotConfig": SlotConfig, "Metrics": Metrics}


def goods():
    files = raw_files()
    return {
        "Manifest": parts()[0],
        "SlotConfig": json.loads(files["config"]),
        "Metrics": json.loads(files["metrics"]),
    }


def ours_takes(name, value):
    try:
        RECORDS[name].model_validate(value)
    except ValidationError:
        return False
    return True


def schema_takes(name, value):
    try:
        closed(name, value)
    except ValueError:
        return False
    return True


def places(value, path=()):
    """Give the way to everything in a value."""
    yield path
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in rows:
        yield from places(part, (*path, key))


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 1 << 50),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not value.is_integer()),
    st.text(max_size=5),
    st.sampled_from(
        ["", "con", "[x]", "a\n", "\x1b[2J", "\u202e", "0" * 64, "A" * 64, "F32", "MIT", "x" * 5000, "1.0.0"]
    ),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def test_the_published_schema_is_up_to_date():
    found = json.loads(PUBLISHED.read_text("utf-8"))
    assert found == json_schema(), "python -m nightschool.schemas.bundle > schemas/bundle.schema.json"


@pytest.mark.parametrize("name", RECORDS)
def test_both_take_what_is_good(name):
    assert ours_takes(name, goods()[name]) and schema_takes(name, goods()[name])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_both_take_and_refuse_the_same(data):
    name = data.draw(st.sampled_from(sorted(RECORDS)))
    value = copy.deepcopy(goods()[name])
    path = data.draw(st.sampled_from([path for path in places(value) if path]))
    at = value
    for key in path[:-1]:
        at = at[key]
    match data.draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            at[path[-1]] = data.draw(ODD)
        case "remove":
            del at[path[-1]]
        case "add" if isinstance(at, dict):
            at[data.draw(st.text(max_size=4))] = data.draw(ODD)
    assert ours_takes(name, value) == schema_takes(name, value), (path, value)
