"""Publishing on the hub and importing from it at the command line, over the scripted engine."""

from __future__ import annotations

import json

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.audit import Finding
from nightschool.schemas.errors import Unauthorised

SAID = ["slots", "publish", "science@3", "ann/captain", "--license", "MIT"]


def test_what_goes_out_is_shown_and_then_asked_for(call, engine):
    code, out, err = call(*SAID, "--title", "Captain")
    assert code == 2 and "--yes" in err and engine.published == []
    assert "README.md 10 bytes" in err and "| # Captain" in err and "for everybody" in err
    code, out, err = call(*SAID, "--title", "Captain", "--yes")
    assert (code, out) == (0, "Published as https://huggingface.co/ann/captain, commit 012345678901.\n")
    assert "| # Captain" in err
    (request,) = engine.published
    assert (request.number, request.repository, request.private) == (3, "ann/captain", False)


def test_a_dry_run_gives_the_plan_and_sends_nothing(document, engine):
    planned = document(*SAID, "--dry-run", "--private")
    assert (planned["commit"], planned["private"], planned["page"]) == ("", True, "# Science\n")
    assert engine.published == []


def test_the_current_generation_is_fixed_by_what_was_shown(document, engine):
    document("slots", "publish", "science", "ann/captain", "--license", "MIT", "--yes")
    assert engine.published[0].number == 1


def test_samples_card_and_prompt_are_in_it_only_where_they_are_given(document, engine, tmp_path):
    document("slots", "set", "science", "--system-prompt", "You are my nurse.")
    document(*SAID, "--yes")
    assert "nurse" not in engine.published[0].model_dump_json()
    (tmp_path / "turns.jsonl").write_text('{"prompt": "Hi?", "before": "Hi.", "after": "Ahoy."}\n')
    (tmp_path / "card.md").write_text("More.")
    files = ["--samples", str(tmp_path / "turns.jsonl"), "--card", str(tmp_path / "card.md")]
    document(*SAID, *files, "--with-system-prompt", "--yes")
    told = engine.published[1]
    assert (told.card.samples[0].after, told.text, told.card.system_prompt) == ("Ahoy.", "More.", "You are my nurse.")


def test_what_the_audit_finds_is_told_before_anything_is_asked(call, engine):
    finding = Finding(name="1234abcd", kind="name", text="Kowalczyk", lesson=3, said=2, asked="Who?")
    engine.audit = engine.audit.model_copy(update={"findings": [finding]})
    code, _, err = call(*SAID, "--yes")
    assert code == 106 and "Kowalczyk" in err and "--accept 1234abcd" in err
    assert not [request for request in engine.asked if isinstance(request, ask.PublishVersion)]
    assert call(*SAID, "--yes", "--accept", "1234abcd")[0] == 0
    assert engine.published[0].accepted == ["1234abcd"]


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--license", "what ever?"], "license"), (["--title", "[red]"], "title"), (["--tag", "No Tag"], "tags")],
)
def test_what_no_page_can_say_is_not_asked(call, engine, options, words):
    code, _, err = call(*SAID, *options, "--yes")
    assert code == 2 and words in err and engine.published == []


def test_an_error_of_the_hub_is_its_exit_code(call, engine):
    engine.fail["hub.publish"] = Unauthorised("Log in.")
    code, out, err = call(*SAID, "--yes", "--json")
    assert (code, out) == (94, "") and json.loads(err.splitlines()[-1])["error"]["code"] == "Unauthorised"


def test_an_adapter_is_imported_from_the_hub_by_the_commit_it_was_fetched_at(call, engine):
    code, out, err = call("slots", "import", "hub:eve/theirs@main", "--into", "creative")
    assert code == 0 and "Accepted" in out
    commit = "0123456789" * 4
    assert f"hub:eve/theirs@{commit}: 2.0 MB, for owner/base, licence mit, by its own words." in err
    asked = [request for request in engine.asked if isinstance(request, ask.ImportAdapter)]
    assert (asked[0].folder, asked[0].source) == ("/fetched", f"hub:eve/theirs@{commit}")
    engine.fail["hub.fetch"] = Unauthorised("Accept its terms.")
    assert call("slots", "import", "hub:eve/theirs", "--into", "creative")[0] == 94
