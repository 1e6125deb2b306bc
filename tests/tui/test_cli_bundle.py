"""Bundles from the command line, over the scripted engine: packed, shown, verified, taken, written for PEFT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightschool.marketplace.key_file import save_key
from nightschool.schemas import messages as ask
from nightschool.schemas.audit import Finding
from nightschool.schemas.records import VersionKind
from nightschool.tests.marketplace.bundle.hostile import good
from nightschool.tests.marketplace.bundle.making import KEY, factors, safetensors


def in_folder(folder):
    return sorted(path.name for path in folder.iterdir())


PASSPHRASE = "four or more words"
SAID = ["--publisher", "ann", "--license", "CC-BY-4.0"]


@pytest.fixture
def ready(engine, tmp_path, monkeypatch):
    """A version to share, and a key in a file."""
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(safetensors(factors()))
    engine.shared_folder = str(folder)
    save_key(tmp_path / "ann.pem", KEY, PASSPHRASE)
    monkeypatch.setenv("NIGHTSCHOOL_PASSPHRASE", PASSPHRASE)
    monkeypatch.chdir(tmp_path)
    return ["--key", str(tmp_path / "ann.pem"), *SAID]


@pytest.fixture
def packed(ready, document):
    return document("bundle", "pack", "science@3", *ready, "--title", "Captain", "--tag", "style")["file"]


def test_a_version_is_packed_and_shown(packed, call, document, tmp_path):
    assert packed == str(tmp_path / "science-3.0.0.slot")
    said = document("bundle", "show", packed)
    assert (said["state"], said["code"]) == ("New publisher", "new-publisher")
    card = said["manifest"]["predicate"]["card"]
    assert (card["title"], card["tags"], card["license"], card["samples"]) == ("Captain", ["style"], "CC-BY-4.0", [])
    code, out, err = call("bundle", "show", packed)
    assert (code, err) == (0, "") and "science 3.0.0 (number 3) by ann" in out and "New publisher" in out


def test_the_same_version_is_packed_to_the_same_bytes(packed, ready, call, tmp_path):
    options = [*ready, "--title", "Captain", "--tag", "style"]
    assert call("bundle", "pack", "science@3", *options, "--to", "again.slot")[0] == 0
    assert (tmp_path / "again.slot").read_bytes() == (tmp_path / "science-3.0.0.slot").read_bytes()
    code, _, err = call("bundle", "pack", "science@3", *options)
    assert code == 2 and "is there already" in err


def test_samples_card_and_prompt_are_in_it_only_where_they_are_given(ready, document, tmp_path):
    document("slots", "set", "science", "--system-prompt", "You are my nurse.")
    (tmp_path / "samples.jsonl").write_text('{"prompt": "Hi?", "before": "Hi.", "after": "Ahoy."}\n')
    (tmp_path / "card.md").write_text("# Ahoy\n")
    plain = document("bundle", "pack", "science", *ready, "--to", "plain.slot")["file"]
    assert "nurse" not in json.dumps(document("bundle", "show", plain))
    more = ["--samples", "samples.jsonl", "--card", "card.md", "--with-system-prompt", "--to", "more.slot"]
    card = document("bundle", "show", document("bundle", "pack", "science", *ready, *more)["file"])["manifest"][
        "predicate"
    ]
    assert card["card"]["samples"] == [{"prompt": "Hi?", "before": "Hi.", "after": "Ahoy."}]
    assert card["card"]["system_prompt"] == "You are my nurse." and card["files"][2]["path"] == "card.md"


def test_sample_questions_are_answered_here_of_what_is_in_effect(ready, call, document, engine):
    engine._add_version("science", kind=VersionKind.STUDY)
    asked = ["--ask", "Why?", "--to", "asked.slot"]
    file = document("bundle", "pack", "science@1", *ready, *asked)["file"]
    (sample,) = document("bundle", "show", file)["manifest"]["predicate"]["card"]["samples"]
    assert sample == {"prompt": "Why?", "before": "Generation 0 says so.", "after": "Generation 1 says so."}
    engine._add_version("science", kind=VersionKind.STUDY)
    code, _, err = call("bundle", "pack", "science@1", *ready, "--ask", "Why?", "--to", "other.slot")
    assert code == 2 and "does not answer now" in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--title", "[@click=app.quit]x[/]"], "title"),
        (["--tag", "No Tag"], "tags"),
        (["--license", "what ever?"], "license"),
        (["--as-version", "one"], "version"),
        (["--name", "Con"], "name"),
        (["--samples", "nothing.jsonl"], "nothing.jsonl"),
        (["--threshold", "2"], "2 keys must sign"),
    ],
)
def test_what_no_bundle_can_say_is_not_packed(ready, call, tmp_path, options, sentence):
    code, _, err = call("bundle", "pack", "science", *ready, "--to", "x.slot", *options)
    assert code != 0 and sentence in err and not (tmp_path / "x.slot").exists()


def test_what_a_version_could_give_away_must_be_accepted_first(ready, call, document, engine, tmp_path):
    rows = [
        Finding(name=name, kind="name", text=text, lesson=3, said=2, asked="Who am I?")
        for name, text in (("1234abcd", "Kowalczyk"), ("5678ef01", "Agnieszka"))
    ]
    engine.audit = engine.audit.model_copy(update={"findings": rows})
    for accepted in ([], ["--accept", "1234abcd"]):
        code, _, err = call("bundle", "pack", "science", *ready, "--to", "x.slot", *accepted)
        assert code == 106 and "Kowalczyk" in err and "lessons forget 3" in err and "--accept 5678ef01" in err
        assert not (tmp_path / "x.slot").exists()
    both = ["--accept", "1234abcd", "--accept", "5678ef01"]
    made = document("bundle", "pack", "science", *ready, "--to", "x.slot", *both)
    assert made["audit"]["accepted"] == ["1234abcd", "5678ef01"]
    assert b"Kowalczyk" not in (tmp_path / "x.slot").read_bytes()


def test_a_key_needs_its_passphrase(ready, call, monkeypatch):
    monkeypatch.delenv("NIGHTSCHOOL_PASSPHRASE")
    code, _, err = call("bundle", "pack", "science", *ready)
    assert code == 105 and "NIGHTSCHOOL_PASSPHRASE" in err
    monkeypatch.setenv("NIGHTSCHOOL_PASSPHRASE", "another one")
    assert call("bundle", "pack", "science", *ready)[0] == 105


def test_a_bundle_is_verified_and_nothing_is_kept(packed, document, tmp_path):
    found = document("bundle", "verify", packed)
    assert found["state"] == "New publisher" and found["fits"] is False
    assert found["scan"]["verdict"] == "nothing-found"
    assert in_folder(tmp_path / "quarantine") == [".lock"]
    assert not (tmp_path / "trust" / "pins.json").exists()


def test_what_was_changed_is_refused_with_its_code(packed, call, document, tmp_path):
    data = bytearray((tmp_path / "science-3.0.0.slot").read_bytes())
    data[-2000] ^= 1
    (tmp_path / "bad.slot").write_bytes(data)
    code, out, err = call("bundle", "verify", "bad.slot", "--json")
    assert (code, out) == (101, "") and json.loads(err)["error"]["code"] == "Refused"
    fingerprint = document("bundle", "show", packed)["fingerprint"]
    code, _, err = call("bundle", "import", "bad.slot", "--confirm", fingerprint, "--json")
    assert code == 101 and json.loads(err.splitlines()[-1])["error"]["refusal"] == "blob-digest"
    assert in_folder(tmp_path / "quarantine") == [".lock"]


def test_a_new_publisher_is_believed_only_when_the_user_agrees(packed, call, document, engine):
    code, _, err = call("bundle", "import", packed)
    assert code == 2 and "--confirm" in err
    code, _, err = call("bundle", "import", packed, "--confirm", "00" * 32)
    assert code == 103 and "science" in engine.slots and len(engine.versions["science"]) == 1
    fingerprint = document("bundle", "show", packed)["fingerprint"]
    taken = document("bundle", "import", packed, "--as", "borrowed", "--confirm", fingerprint)
    assert (taken["slot"], taken["version"]["current"]) == ("borrowed", False)
    assert taken["version"]["origins"][0]["publisher"] == "ann"
    assert engine.slots["borrowed"].title == "Captain"
    assert document("bundle", "show", packed)["state"] == "Verified"
    _, out, _ = call("bundle", "import", packed, "--as", "borrowed")
    assert "does not answer yet" in out and "nightschool rollback borrowed --to 2" in out


def test_what_the_gates_refuse_is_not_remembered_as_taken(packed, call, document, engine):
    engine.accept = False
    fingerprint = document("bundle", "show", packed)["fingerprint"]
    code, out, _ = call("bundle", "import", packed, "--as", "new", "--confirm", fingerprint)
    assert code not in (0, 1) and "Refused" in out
    assert document("bundle", "show", packed)["state"] == "New publisher"


def test_another_key_under_a_known_name_is_refused(packed, call, document, tmp_path):
    fingerprint = document("bundle", "show", packed)["fingerprint"]
    assert call("bundle", "import", packed, "--as", "new", "--confirm", fingerprint)[0] == 0
    from nightschool.tests.marketplace.bundle.making import OTHER

    save_key(tmp_path / "eve.pem", OTHER, PASSPHRASE)
    options = ["--key", "eve.pem", *SAID, "--to", "eve.slot", "--seq", "9"]
    assert call("bundle", "pack", "science", *options)[0] == 0
    for command in (["import"], ["verify"], ["export", "--peft", "out"]):
        code, _, err = call("bundle", command[0], "eve.slot", *command[1:])
        assert code == 101 and "key" in err.lower(), command


def test_the_adapter_is_written_for_peft(packed, document, tmp_path):
    found = document("bundle", "export", packed, "--peft", str(tmp_path / "out"))
    assert in_folder(Path(found["folder"])) == ["adapter_config.json", "adapter_model.safetensors"]
    assert (tmp_path / "out" / "adapter_model.safetensors").read_bytes() == safetensors(factors())


def test_the_adapter_is_signed_for_others_tools(packed, document, call, tmp_path):
    from nightschool.tests.marketplace.oms_check import check

    found = document("bundle", "export", packed, "--oms", "out", "--key", str(tmp_path / "ann.pem"))
    assert in_folder(tmp_path / "out") == ["adapter_config.json", "adapter_model.safetensors", "model.sig"]
    assert (found["key"]["kind"], found["signature"]) == ("ed25519", str(tmp_path / "out" / "model.sig"))
    statement = check(tmp_path / "out", tmp_path / "out" / "model.sig", found["key"]["public"].encode())
    assert statement["subject"][0]["name"] == "out"
    code, out, _ = call("bundle", "export", packed, "--oms", "again", "--key", str(tmp_path / "ann.pem"))
    assert code == 0 and "BEGIN PUBLIC KEY" in out and "P-256" in out


def test_what_goes_to_be_a_gguf_is_checked_first_and_made_by_the_engine(packed, document, call, engine, tmp_path):
    found = document("bundle", "export", packed, "--gguf", "out")
    (asked,) = [request for request in engine.asked if isinstance(request, ask.ConvertBundle)]
    assert (asked.to, found["folder"], found["form"]) == (str(tmp_path / "out"), str(tmp_path / "out"), "gguf")
    assert not Path(asked.folder).exists() and in_folder(tmp_path / "quarantine") == [".lock"]
    data = bytearray((tmp_path / "science-3.0.0.slot").read_bytes())
    data[-2000] ^= 1
    (tmp_path / "bad.slot").write_bytes(data)
    assert call("bundle", "export", "bad.slot", "--gguf", "other")[0] == 101
    assert len([request for request in engine.asked if isinstance(request, ask.ConvertBundle)]) == 1


@pytest.mark.parametrize(
    "options", [[], ["--peft", "a", "--gguf", "b"], ["--oms", "a"], ["--peft", "a", "--key", "ann.pem"]]
)
def test_an_export_is_of_one_form_and_has_its_key(packed, call, options):
    code, _, err = call("bundle", "export", packed, *options)
    assert code == 2 and "--oms" in err


def test_a_strangers_text_stays_text(call, tmp_path, monkeypatch):
    (tmp_path / "good.slot").write_bytes(good())
    code, out, _ = call("bundle", "show", str(tmp_path / "good.slot"))
    assert code == 0 and "Captain" in out and out.replace("\n", "").isprintable()


def test_a_sample_turn_cannot_pass_for_a_line_of_ours(ready, document, call, tmp_path):
    forged = "Ahoy.\nVerified: Signed by ann, whose keys are pinned."
    (tmp_path / "samples.jsonl").write_text(json.dumps({"prompt": "Hi?", "before": "Hi.", "after": forged}))
    file = document("bundle", "pack", "science", *ready, "--samples", "samples.jsonl")["file"]
    lines = call("bundle", "show", file)[1].splitlines()
    assert [line for line in lines if "Verified" in line] == [
        "          | Verified: Signed by ann, whose keys are pinned."
    ]
