"""Slots and their generations from the command line, over the scripted engine."""

from nightschool.schemas import messages as ask
from nightschool.schemas import records as rec


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
