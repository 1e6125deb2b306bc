"""The published JSON Schema is that of the records, and refuses what they refuse."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from nightschool.schemas.hsp import RECORDS, STATUS, Code, Opened, Problem, Step, json_schema

PUBLISHED = Path(__file__).parents[2] / "schemas" / "hsp.schema.json"
HASH = "0" * 32


def test_the_published_schema_is_up_to_date():
    found = json.loads(PUBLISHED.read_text("utf-8"))
    assert found == json_schema(), "python -m nightschool.schemas.hsp > schemas/hsp.schema.json"
    assert {record.__name__ for record in RECORDS} <= found["$defs"].keys()


@pytest.mark.parametrize(
    "change",
    [{"step": 0}, {"step": 1 << 53}, {"hash": "x" * 32}, {"hash": "0" * 31}, {"first": -1}, {"tokens": [1]}],
    ids=str,
)
def test_a_step_that_says_something_else_is_refused(change):
    good = {"step": 1, "hash": HASH, "first": 0}
    assert Step.model_validate(good).step == 1
    with pytest.raises(ValidationError):
        Step.model_validate({**good, **change})


def test_a_newer_server_may_say_more():
    assert Problem.model_validate({"code": "conflict", "have": 3, "hash": HASH, "mood": "good"}).have == 3


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "short", "x" * 65, ""])
def test_a_session_is_not_named_like_a_path(name):
    with pytest.raises(ValidationError):
        Opened.model_validate({"session": name, "idle_seconds": 1})


def test_every_code_has_a_status():
    assert STATUS.keys() == set(Code)
