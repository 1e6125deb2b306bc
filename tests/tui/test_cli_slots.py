"""Slots and their generations from the command line, over the scripted engine."""

import json

import click
import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas import records as rec
from nightschool.schemas.audit import Finding


def test_slots_are_made_changed_and_listed(document, call):
    assert document("slots", "create", "Cooking", "--system-prompt", "You cook.")["name"] == "cooking"
    assert document("slots", "set", "COOKING", "--temperature", "0.7")["temperature"] == 0.7
    assert document("slots", "set", "cooking", "--base", "owner/name")["base"] == "owner/name"
    assert [row["name"] for row in document("slots")][-1] == "cooking"
    blend = document("slots", "set", "cooking", "--blend", "Science=0.7, cooking=-0.3")["blend"]
    assert blend == {"science": 0.7, "cooking": -0.3}
    assert "science 0.7 + cooking -0.3" in call("slots")[1]
    assert document("slots", "set", "cooking", "--blend", "")["blend"] == {}
    code, _, err = call("slots", "set", "cooking", "--blend", "science=much")
    assert code == 2 and "'much' is no weight" in err
    assert "owner/name" in call("slots")[1]
    assert "cooking" in call("slots")[1]


def test_a_slot_is_renamed(document, call, engine):
    assert document("slots", "rename", "Science", "Field notes")["title"] == "Field notes"
    made = document("slots", "rename", "field notes", "--name", "notes")
    assert (made["name"], made["title"]) == ("notes", "Field notes")
    assert "notes" in engine.slots and "science" not in engine.slots
    assert call("slots", "rename", "notes")[0] == 2
    assert call("slots", "rename", "notes", "--name", "creative")[0] == 2


def test_a_slot_goes_out_of_sight_and_back(document, call):
    assert document("slots", "archive", "science")["archived"] is not None
    assert "science" not in [row["name"] for row in document("slots")]
    assert document("slots", "list", "--archived")[0]["name"] == "science"
    assert "archived 2" in call("slots", "list", "--archived")[1]
    assert document("versions", "science")[0]["number"] == 0  # it is still found by its name
    assert document("slots", "unarchive", "science")["archived"] is None
    assert document("slots")[0]["name"] == "science"


def test_a_command_that_names_no_slot_takes_the_first_in_use(call, engine):
    call("slots", "archive", "science")
    call("ask", "Hello")
    assert [row.slot for row in engine.conversations.values()] == ["creative"]


def test_a_slot_is_deleted_only_with_leave_and_comes_back(document, call, engine, monkeypatch):
    engine.add_conversation("science", "Moon")
    code, _, err = call("slots", "delete", "science")
    assert code == 2 and "--yes" in err
    made = document("slots", "delete", "Science", "--yes")
    assert made["deleted"] is not None
    assert document("slots", "delete", "science") == made  # there is nothing to ask any more
    assert "deleted, kept until 2" in call("slots", "list", "--deleted")[1]
    assert "science" not in [row["name"] for row in document("slots", "list", "--archived")]
    code, _, err = call("ask", "--slot", "science", "Hello")
    assert code == 3 and "nightschool slots undelete science" in err
    assert document("slots", "undelete", "science")["deleted"] is None
    assert document("slots")[0]["name"] == "science"


@pytest.mark.parametrize("arguments", [("slots", "delete", "", "--yes"), ("--slot", "", "ask", "Hi")])
def test_an_empty_name_is_no_slot(call, engine, arguments):
    code, out, err = call(*arguments)
    assert (code, out) == (3, "") and "no slot ''" in err
    assert all(slot.deleted is None for slot in engine.slots.values()) and not engine.messages


def test_the_lessons_of_an_empty_name_are_none(call):
    assert call("lessons", "list", "--slot", "")[0] == 3


def test_a_generation_is_pinned_and_unpinned(document, call):
    call("ask", "Always rhyme.")
    call("study")
    assert document("versions", "pin", "Science", "1")["pinned"] is True
    assert "pinned" in call("versions", "science")[1]
    assert document("versions", "unpin", "science", "1")["pinned"] is False
    assert call("versions", "pin", "science", "0")[0] == 2
    assert call("versions", "pin", "science", "9")[0] == 3


def test_what_nothing_needs_is_named_and_removed(document, call, engine):
    engine.garbage = [rec.Garbage(text="What study 3 left", bytes=2_500_000)]
    out = call("slots", "gc", "--dry-run", "--keep", "2")[1]
    assert out == "What study 3 left (2.5 MB).\n2.5 MB would come free.\n"
    asked = engine.asked[-1]
    assert (asked.keep, asked.dry_run) == (2, True)
    assert document("slots", "gc")["bytes"] == 2_500_000
    assert call("slots", "gc")[1] == "0.0 MB came free.\n"
    assert call("slots", "gc", "--keep", "0")[0] == 2


def test_a_deletion_says_what_goes_and_no_is_no(call, engine, monkeypatch):
    engine.add_conversation("science", "Moon")
    asked = []

    def refuse(question, **_):
        asked.append(question)
        raise click.Abort

    monkeypatch.setattr("nightschool.tui.cli.desk.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("nightschool.tui.cli.desk.sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("nightschool.tui.cli.desk.click.confirm", refuse)
    assert call("slots", "delete", "science")[0] != 0
    assert asked == ["Delete Science with 1 conversation and 0 lessons? It can be brought back for 30 days."]
    assert engine.slots["science"].deleted is None


def test_slots_are_blended_into_a_new_generation(document, call, engine):
    study = document("slots", "blend", "science", "Creative", "--weights", "0.7,0.3", "--into", "creative")
    assert (study["state"], study["slot"], study["version"]) == ("accepted", "creative", 1)
    merge = engine.versions["creative"][1].merge
    assert [(parent.slot, parent.weight) for parent in merge.parents] == [("science", 0.7), ("creative", 0.3)]
    assert "exact: 0.7 of science 0 + 0.3 of creative 0; rank 32, exact" in call("versions", "creative")[1]
    call("slots", "blend", "science", "creative", "--strategy", "ties", "--rank", "8", "--into", "science")
    merge = engine.versions["science"][1].merge
    assert (merge.strategy, merge.options.rank, merge.parents[0].weight) == ("ties", 8, 0.5)
    for weights, words in (("0.7", "not 1"), ("a,b", "are no weights")):
        code, _, err = call("slots", "blend", "science", "creative", "--weights", weights, "--into", "science")
        assert code == 2 and words in err
    engine.accept = False
    assert call("slots", "blend", "science", "creative", "--into", "science")[0] == 40


def test_slots_are_exported_and_adapters_imported(document, call, engine, tmp_path):
    made = document("slots", "export", "Science", "--to", str(tmp_path / "out"), "--form", "gguf", "--generation", "2")
    assert made == {"folder": str(tmp_path / "out"), "form": "gguf", "number": 2, "bytes": 5_000_000}
    assert "5.0 MB" in call("slots", "export", "science", "--to", "out")[1]
    assert document("slots", "import", str(tmp_path), "--into", "science")["state"] == "accepted"
    assert call("slots", "import", str(tmp_path), "--into", "nosuch")[0] == 3
    assert call("slots", "export", "science", "--to", "out", "--form", "zip")[0] == 2


def test_a_slot_is_forked_and_its_generations_compared(document, call):
    assert document("slots", "fork", "science", "Field notes")["name"] == "field-notes"
    assert "fork" in call("versions", "field-notes")[1]
    assert document("slots", "diff", "science", "0", "1")["came"] == ["Be brief."]
    out = call("slots", "diff", "science", "0", "1")[1]
    assert "+ Be brief." in out and "0: Because." in out and "1: So." in out and "0.25" in out


def test_slots_are_asked_side_by_side(document, call):
    rows = document("slots", "compare", "science", "Creative", "Why?", "--max-tokens", "9")
    assert [(row["slot"], row["text"]) for row in rows] == [
        ("science", "science says so."), ("creative", "creative says so."),
    ]  # fmt: skip
    assert "== creative, generation 0\ncreative says so." in call("slots", "compare", "science", "creative", "Why?")[1]


def test_the_store_is_checked_and_what_stays_damaged_is_an_exit_code(document, call, engine):
    assert document("slots", "check")["findings"] == []
    finding = {"slot": "science", "number": 2, "text": "It is damaged."}
    engine.damage = [rec.StoreFinding(repaired=True, **finding)]
    assert call("slots", "check")[:2][0] == 0
    engine.damage = [rec.StoreFinding(repaired=False, **finding)]
    code, out, _ = call("slots", "check")
    assert code == 23 and "It is damaged." in out


def test_a_slot_that_is_not_there_is_named_with_those_that_are(call):
    for line in (["versions", "nosuch"], ["ask", "--slot", "nosuch", "x"], ["lessons", "list", "--slot", "nosuch"]):
        code, _, err = call(*line)
        assert code == 3 and "'nosuch'" in err and "science, creative" in err


def test_the_slot_of_the_root_options_counts_where_the_command_names_none(call, engine):
    call("--slot", "gaming", "ask", "Hello")
    call("--slot", "gaming", "ask", "--slot", "creative", "Hello")
    begun = [request for request in engine.asked if isinstance(request, ask.CreateConversation)]
    assert [request.slot for request in begun] == ["gaming", "creative"]


def test_rollback_makes_a_generation(call, document):
    call("ask", "Always rhyme.")
    call("study")
    assert [row["number"] for row in document("versions", "science")] == [1, 0]
    assert len(document("versions")) == 5
    made = document("rollback", "science", "--to", "0")
    assert (made["number"], made["restores"], made["kind"]) == (2, 0, "rollback")
    line = call("versions", "science")[1].splitlines()[1]
    assert line.startswith("*") and "rollback to 0" in line


def test_an_audit_says_what_a_generation_could_give_away(call, document, engine):
    code, out, _ = call("versions", "audit", "science")
    assert code == 0 and "Nothing was found: 1 strings" in out
    found = Finding(name="1234abcd", kind="name", text="Kowal[b]czyk", lesson=3, said=2, asked="Who am I?", gain=4.25)
    engine.audit = engine.audit.model_copy(update={"findings": [found]})
    code, out, _ = call("versions", "audit", "science", "--generation", "2")
    assert code == 1
    for words in ("1234abcd", "Kowal[b]czyk", "2x", "+4.2 nats", "Who am I?"):
        assert words in out
    code, out, _ = call("versions", "audit", "science", "--json")
    assert code == 1 and json.loads(out)["findings"][0]["text"] == "Kowal[b]czyk"


def test_a_slot_is_taught_another_model(call, engine):
    code, out, _ = call("slots", "teach", "Science", "--base", "qwen2.5-1.5b")
    assert code == 0 and "answers with qwen2.5-1.5b." in out and "from now on" not in out
    (request,) = [asked for asked in engine.asked if isinstance(asked, ask.TeachSlot)]
    assert (request.slot, request.base) == ("science", "qwen2.5-1.5b")
    engine.accept = False
    assert call("slots", "teach", "science", "--base", "qwen2.5-1.5b")[0] == 40
    code, _, err = call("slots", "teach", "science")
    assert code == 2 and "--base" in err


def test_of_an_adapter_below_the_tail_the_upper_part_is_asked_for_by_name(call, engine):
    call("slots", "import", "theirs", "--into", "gaming")
    call("slots", "import", "theirs", "--into", "gaming", "--keep-upper")
    asked = [request for request in engine.asked if isinstance(request, ask.ImportAdapter)]
    assert [request.keep_upper for request in asked] == [False, True]
