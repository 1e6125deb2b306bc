"""Publishers, trust, registries and the market from the command line, over the scripted engine."""

import hashlib
import json
import shutil

import click
import pytest

from nightschool.marketplace import key_file
from nightschool.marketplace.key_file import load_key
from nightschool.marketplace.registry.listing import list_bundle
from nightschool.marketplace.trust.publisher import Withdrawn
from nightschool.marketplace.trust.publisher import revoke as revoke_of
from nightschool.marketplace.trust.store import TrustStore
from nightschool.schemas.bundle import CardPart, SampleTurn, SlotPart
from nightschool.schemas.errors import (
    Damaged,
    KeyUnusable,
    NotConfirmed,
    NotFound,
    Refused,
    RegistryStale,
    Unchecked,
    UsageError,
)
from nightschool.schemas.records import BundleOrigin, StoreCheck, StoreFinding, VersionKind
from nightschool.tests.marketplace.bundle.making import make
from nightschool.tests.marketplace.people import key
from nightschool.tests.marketplace.people import publisher as publisher_of
from nightschool.tests.marketplace.registry.world import World
from nightschool.tui.cli.root import root

PASSPHRASE = "four or more words"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(key_file, "_COST", 16)
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setenv("NIGHTSCHOOL_PASSPHRASE", PASSPHRASE)


@pytest.fixture
def failing(call):
    """Run a command that must fail; gives its error."""

    def run_it(*arguments):
        code, _, err = call(*arguments, "--json")
        error = json.loads(err.splitlines()[-1])["error"]
        assert error["exit_code"] == code
        return error

    return run_it


@pytest.fixture
def ada(document):
    return document("publisher", "init", "ada")


@pytest.fixture
def site(tmp_path, document, ada):
    """A registry of the user's own, with nothing in it."""
    made = document("registry", "init", str(tmp_path / "site"), "--name", "team", "--title", "Team")
    document("registry", "add", str(tmp_path / "site"), "--publisher", ada["file"])
    return made


@pytest.fixture
def bundle(tmp_path, ada):
    """Make a bundle of Ada's."""

    def make_it(name="captain", seq=1, licence="Apache-2.0", signing=None, samples=()):
        place = tmp_path / "made"
        place.mkdir(exist_ok=True)
        card = {"title": name.capitalize(), "summary": "As a sailor would.", "language": ["en"], "tags": ["style"]}
        return str(
            make(
                place,
                name=f"{name}-{seq}.slot",
                keys=(signing or load_key(tmp_path / "keys" / "ada.pem", PASSPHRASE),),
                publisher="ada",
                slot=SlotPart(name=name, version=f"1.{seq}.0", seq=seq, prev=None, created=1_700_000_000),
                card=CardPart(**card, license=licence, samples=[*samples], warnings=[]),
            )
        )

    return make_it


@pytest.fixture
def publish(document, site, bundle):
    """List bundles in the registry."""

    def publish_them(*files):
        if files:
            document("registry", "add", site["folder"], *files)
        return document("registry", "publish", site["folder"])

    return publish_them


@pytest.fixture
def known(document, site, publish, bundle):
    """The registry with one bundle, as this profile knows it."""
    publish(bundle())
    return document("market", "add", site["folder"], "--confirm", site["root"])


def install(document, ada, name="captain", *options):
    return document("market", "install", name, "--confirm", ada["fingerprint"], *options)


# -- publisher --------------------------------------------------------------------------------------------------------


def test_a_publisher_is_made_and_shown(call, document, ada, tmp_path):
    assert (ada["name"], ada["seq"], ada["threshold"], len(ada["words"].split())) == ("ada", 1, 1, 6)
    assert load_key(tmp_path / "keys" / "ada.pem", PASSPHRASE).public.fingerprint == ada["keys"][0]["fingerprint"]
    (shown,) = document("publisher", "show")
    assert shown["fingerprint"] == ada["fingerprint"]
    assert document("publisher", "show", ada["file"]) == [shown]
    code, out, _ = call("publisher", "show", "ada")
    assert code == 0 and ada["words"] in out and ada["fingerprint"] in out
    assert call("publisher", "init", "ada")[0] == UsageError.exit_code


def test_keys_are_made_with_a_passphrase_or_not_at_all(call, monkeypatch, tmp_path):
    monkeypatch.delenv("NIGHTSCHOOL_PASSPHRASE")
    assert call("publisher", "init", "ada")[0] == KeyUnusable.exit_code
    monkeypatch.setenv("NIGHTSCHOOL_PASSPHRASE", "short")
    assert call("publisher", "init", "ada")[0] == UsageError.exit_code
    assert not (tmp_path / "keys").exists()


def test_keys_change_by_the_old_ones(document, ada, failing, monkeypatch):
    made = document("publisher", "rotate", "ada", "--keys", "3", "--threshold", "2")
    assert (made["seq"], made["threshold"], len(made["keys"])) == (2, 2, 3)
    assert document("publisher", "rotate", "ada")["seq"] == 3
    monkeypatch.setenv("NIGHTSCHOOL_PASSPHRASE", "another one")
    assert failing("publisher", "rotate", "ada")["code"] == "KeyUnusable"


def test_keys_change_after_something_was_revoked(document, ada):
    document("publisher", "revoke", "ada", "--bundle", "a" * 64, "--reason", "broken")
    made = document("publisher", "rotate", "ada")
    assert (made["seq"], made["revoked_bundles"]) == (2, [{"id": "a" * 64, "reason": "broken"}])


def test_a_change_that_cannot_be_leaves_no_keys(document, failing, ada, tmp_path):
    before = sorted((tmp_path / "keys").iterdir())
    for command in (("rotate", "ada"), ("init", "eve")):
        assert failing("publisher", *command, "--keys", "2", "--threshold", "3")["refusal"] == "publisher"
        assert sorted((tmp_path / "keys").iterdir()) == before
    assert document("publisher", "rotate", "ada", "--keys", "2", "--threshold", "2")["seq"] == 2


def test_a_key_of_openssh_is_taken_over(document, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    (tmp_path / "id").write_bytes(Ed25519PrivateKey.from_private_bytes(key(7).raw).private_bytes(*plain))
    taken = document("publisher", "import-key", str(tmp_path / "id"), "--name", "mine")
    assert taken["fingerprint"] == key(7).public.fingerprint
    made = document("publisher", "init", "ada", "--key", taken["file"])
    assert made["keys"][0]["fingerprint"] == key(7).public.fingerprint


def test_a_publisher_revokes_what_is_its_own(document, ada, failing):
    made = document("publisher", "revoke", "ada", "--bundle", "a" * 64, "--reason", "broken")
    assert made["revoked_bundles"] == [{"id": "a" * 64, "reason": "broken"}]
    assert failing("publisher", "revoke", "ada", "--fingerprint", "a" * 64, "--reason", "x")["code"] == "Refused"
    assert failing("publisher", "revoke", "ada", "--reason", "x")["exit_code"] == 2


# -- trust ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def eve(tmp_path):
    """The public file of a publisher elsewhere."""
    path = tmp_path / "eve.publisher.json"
    path.write_bytes(publisher_of("eve", (5,)).dump())
    return str(path)


def test_a_publisher_is_pinned_with_leave_alone(call, document, eve):
    code, _, err = call("trust", "pin", eve)
    assert code == UsageError.exit_code and publisher_of("eve", (5,)).keys.words in err
    made = document("trust", "pin", eve, "--confirm", publisher_of("eve", (5,)).keys.fingerprint)
    assert made["name"] == "eve"
    assert [row["name"] for row in document("trust")] == ["eve"]
    assert document("trust", "forget", "eve") == {"forgotten": "eve"}
    assert document("trust", "list") == []


def test_the_wrong_fingerprint_is_no_leave(failing, eve):
    assert failing("trust", "pin", eve, "--confirm", "a" * 64)["exit_code"] == NotConfirmed.exit_code


def test_other_keys_are_pinned_by_naming_the_old_ones(document, failing, eve, tmp_path):
    document("trust", "pin", eve, "--confirm", publisher_of("eve", (5,)).keys.fingerprint)
    other = tmp_path / "other.json"
    other.write_bytes(publisher_of("eve", (6,)).dump())
    assert failing("trust", "pin", str(other))["exit_code"] == Refused.exit_code
    assert [row["code"] for row in document("trust", "incidents")] == ["equivocation"]
    assert failing("trust", "pin", str(other), "--old-fingerprint", "a" * 64)["exit_code"] == 2
    old = publisher_of("eve", (5,)).keys.fingerprint
    assert document("trust", "pin", str(other), "--old-fingerprint", old)["seq"] == 1


def test_a_damaged_trust_store_is_said_to_be_one(failing, tmp_path):
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "pins.json").write_text("{")
    assert failing("trust", "list")["exit_code"] == Unchecked.exit_code


# -- registry ---------------------------------------------------------------------------------------------------------


def test_a_registry_is_begun_filled_and_checked(call, document, site, publish, bundle, tmp_path):
    assert len(site["root_keys"]) == 3 and site["words"]
    assert site["root"] == hashlib.sha256((tmp_path / "site" / "metadata" / "1.root.json").read_bytes()).hexdigest()
    assert publish(bundle("captain"), bundle("poet"))["slots"] == 2
    report = document("registry", "check", site["folder"])
    assert (report["slots"], report["bundles"], report["findings"]) == (2, 2, [])
    assert call("registry", "init", site["folder"], "--name", "team")[0] == UsageError.exit_code


def test_a_check_finds_a_file_that_was_changed(call, site, publish, bundle, tmp_path):
    publish(bundle())
    (file,) = (tmp_path / "site" / "targets" / "slots").rglob("*.slot")
    file.write_bytes(b"x" * file.stat().st_size)
    code, out, _ = call("registry", "check", site["folder"])
    assert code == Refused.exit_code and "WRONG: The file of captain 1.1.0" in out


def test_a_bundle_that_no_import_takes_is_not_listed(failing, site, bundle, tmp_path):
    assert failing("registry", "add", site["folder"], bundle(signing=key(9)))["code"] == "Refused"
    (tmp_path / "x.slot").write_bytes(b"x")
    assert failing("registry", "add", site["folder"], str(tmp_path / "x.slot"))["code"] == "Refused"
    assert failing("registry", "add", site["folder"])["exit_code"] == 2
    assert failing("registry", "publish", str(tmp_path / "none"))["code"] == "Refused"


def test_the_keys_of_a_registry_change(document, site, publish, bundle, known):
    assert document("registry", "rotate", site["folder"], "--new-key")["root"] == 2
    publish(bundle("poet"))
    changed = ("registry", "rotate", site["folder"], "--root-keys", "3", "--root-threshold", "2")
    assert document(*changed)["root"] == 3
    assert document("registry", "rotate", site["folder"])["root"] == 4
    assert document("market", "refresh")[0]["slots"] == 2


# -- market -----------------------------------------------------------------------------------------------------------


def test_a_registry_is_met_with_leave_alone(call, document, failing, site, publish, bundle):
    publish(bundle())
    code, _, err = call("market", "add", site["folder"])
    assert code == UsageError.exit_code and site["words"] in err and site["root"] in err
    assert failing("market", "add", site["folder"], "--confirm", "a" * 64)["exit_code"] == NotConfirmed.exit_code
    assert document("market", "add", site["folder"], "--confirm", site["root"])["slots"] == 1
    (row,) = document("market")
    assert (row["name"], row["stale"], row["words"]) == ("team", False, site["words"])
    document("market", "forget", "team")
    assert document("market") == []


def test_without_a_registry_the_way_to_one_is_said(failing):
    for command in (["search"], ["refresh"], ["show", "x"], ["install", "x"]):
        error = failing("market", *command)
        assert error["exit_code"] == NotFound.exit_code and "market add" in error["message"]


def test_the_market_is_searched_and_looked_at(call, document, known, publish, bundle):
    publish(bundle("poet", licence="CC-BY-4.0"))
    document("market", "refresh")
    assert [row["name"] for row in document("market", "search")] == ["captain", "poet"]
    assert [row["name"] for row in document("market", "search", "poet")] == ["poet"]
    assert document("market", "search", "--license", "apache", "--tag", "style", "--base", "tiny")[0]["state"] == (
        "New publisher"
    )
    assert document("market", "search", "--max-mb", "0.0001") == []
    assert "1 more" in call("market", "search", "--limit", "1")[1]
    shown = document("market", "show", "captain")
    assert shown["manifest"]["predicate"]["card"]["title"] == "Captain" and shown["state"] == "New publisher"
    assert "Captain" in call("market", "show", "captain")[1]


def test_a_slot_is_installed_verified_and_removed(call, document, failing, known, ada, engine):
    code, _, err = call("market", "install", "captain")
    assert code == UsageError.exit_code and ada["words"] in err
    kept = install(document, ada)
    assert kept["slot"] == "captain" and kept["version"]["origins"][0]["publisher"] == "ada"
    assert document("trust")[0]["registry"] == "team"
    assert document("market", "search")[0]["state"] == "Verified"
    assert document("market", "remove", "captain", "--yes")["name"] == "captain"
    assert failing("market", "remove", "captain", "--yes")["exit_code"] == NotFound.exit_code


def test_what_was_installed_is_seen_before_it_answers(call, document, known, ada, publish, bundle, engine):
    samples = [SampleTurn(prompt="Where is the sea?", before="There.", after="Ahoy.")]
    publish(bundle("sailor", samples=samples))
    kept = install(document, ada, "sailor")
    found = document("versions", "preview", "sailor", str(kept["version"]["number"]))
    (row,) = found["samples"]
    assert (found["one"], found["other"], row["prompt"]) == (0, 1, "Where is the sea?")
    assert (row["one"], row["other"]) == ("Generation 0 says so.", "Generation 1 says so.")
    (own,) = document("versions", "preview", "sailor", "1", "--prompt", "Why?")["samples"]
    assert own["prompt"] == "Why?"
    code, out, _ = call("versions", "preview", "sailor", "1")
    assert code == 0 and "asked | Where is the sea?" in out and "rollback sailor --to 1" in out
    assert "nightschool versions preview sailor" in call("market", "install", "sailor")[1]


def test_nothing_of_a_download_stays(document, known, ada, tmp_path):
    install(document, ada)
    left = [path.name for path in (tmp_path / "quarantine").iterdir() if path.name != ".lock"]
    assert left == []


def test_what_is_newer_is_told_with_what_is_other_and_taken(call, document, known, ada, publish, bundle):
    install(document, ada)
    assert document("market", "outdated") == []
    publish(bundle(seq=2, licence="CC-BY-4.0"))
    (row,) = document("market", "outdated")
    assert (row["here"], row["newer"], row["changes"]) == ("1.1.0", "1.2.0", ["licence Apache-2.0 -> CC-BY-4.0"])
    document("market", "hold", "captain")
    assert document("market", "update", "--yes") == []
    document("market", "hold", "captain", "--release")
    assert call("market", "update")[0] == UsageError.exit_code
    (kept,) = document("market", "update", "--yes")
    assert kept["version"]["origins"][0]["version"] == "1.2.0"
    assert document("market", "outdated") == []


def test_what_is_held_is_taken_where_it_is_named(document, failing, known, ada, publish, bundle):
    install(document, ada)
    document("market", "hold", "captain")
    publish(bundle(seq=2))
    assert len(document("market", "update", "captain", "--yes")) == 1
    assert failing("market", "update", "captain", "--yes")["exit_code"] == NotFound.exit_code


def test_an_older_version_is_not_taken_after_a_newer_one(document, failing, known, ada, publish, bundle):
    publish(bundle(seq=2))
    install(document, ada)
    error = failing("market", "install", "captain", "--version", "1.1.0")
    assert error["exit_code"] == Refused.exit_code and "older than what was taken" in error["message"]
    assert error["refusal"] == "rollback"


def test_an_older_version_is_not_taken_after_one_that_only_was_kept(
    document, failing, known, ada, publish, bundle, engine, monkeypatch
):
    install(document, ada)
    publish(bundle(seq=2), bundle(seq=3))
    with monkeypatch.context() as killed:
        killed.setattr(TrustStore, "accept", lambda *given, **named: None)
        document("market", "install", "captain")
    error = failing("market", "install", "captain", "--version", "1.2.0")
    assert error["refusal"] == "rollback"


def test_a_stale_registry_installs_only_when_told_and_loudly(call, failing, known, ada, monkeypatch, tmp_path):
    state = tmp_path / "registries" / "team" / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "expires": 1.0}))
    assert failing("market", "install", "captain", "--offline")["exit_code"] == RegistryStale.exit_code
    options = ["--offline", "--allow-stale", "--confirm", ada["fingerprint"]]
    code, _, err = call("market", "install", "captain", *options)
    assert code == 0 and "WARNING: what team says is too old" in err
    assert "STALE" in call("market")[1]


def test_a_registry_that_is_away_is_searched_and_installed_from_as_it_was_read(call, document, known, ada, site):
    from pathlib import Path

    aside = Path(site["folder"]).rename(Path(site["folder"]).with_name("away"))
    code, out, _ = call("market", "refresh", "--json")
    assert code == Unchecked.exit_code and json.loads(out)[0]["code"] == "unreachable"
    assert [row["name"] for row in document("market", "search")] == ["captain"]
    aside.rename(site["folder"])


def test_a_revoked_bundle_is_told_of_and_not_taken(call, document, failing, known, ada, site, publish, bundle):
    install(document, ada)
    identifier = document("market", "show", "captain")["listing"]["versions"][0]["id"]
    document("registry", "revoke", site["folder"], "--bundle", identifier, "--reason", "poisoned")
    publish()
    assert document("market", "refresh")[0]["revoked"] == 1
    assert document("trust", "revoked")[0]["reason"] == "poisoned"
    code, out, _ = call("market", "verify", "--json")
    assert code == Refused.exit_code and "poisoned" in json.loads(out)["problems"][0]["text"]
    assert failing("bundle", "import", bundle())["exit_code"] == Refused.exit_code


def test_a_revoked_bundle_is_told_of_wherever_it_still_is(document, call, known, ada, site, publish, bundle, engine):
    kept = install(document, ada)
    (origin,) = kept["version"]["origins"]
    engine._add_version("captain", kind=VersionKind.STUDY, origins=[BundleOrigin(**origin)])
    publish(bundle(seq=2))
    document("market", "update", "--yes")
    document("registry", "revoke", site["folder"], "--bundle", origin["id"], "--reason", "poisoned")
    publish()
    document("market", "refresh")
    code, out, _ = call("market", "verify", "--json")
    *_, trained, newest = (row.number for row in engine.versions["captain"])
    assert code == Refused.exit_code
    assert {row["number"] for row in json.loads(out)["problems"]} == {kept["version"]["number"], trained}
    assert newest not in (kept["version"]["number"], trained)


def test_nobody_revokes_what_is_another_publishers(document, known, tmp_path):
    identifier = document("market", "show", "captain")["listing"]["versions"][0]["id"]
    eve = publisher_of("eve", (5,))
    eve = revoke_of(eve, [key(5)], created=2, bundles=[Withdrawn(id=identifier, reason="not mine")])
    (tmp_path / "eve.json").write_bytes(eve.dump())
    document("trust", "pin", str(tmp_path / "eve.json"), "--confirm", eve.keys.fingerprint)
    assert document("market", "search")[0]["state"] == "New publisher"


def test_a_swapped_bundle_is_not_installed(failing, known, ada, tmp_path):
    (file,) = (tmp_path / "site" / "targets" / "slots").rglob("*.slot")
    data = bytearray(file.read_bytes())
    data[-1500] ^= 1
    file.write_bytes(data)
    error = failing("market", "install", "captain", "--confirm", ada["fingerprint"])
    assert error["exit_code"] == Refused.exit_code
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == []


def damage(engine, number):
    """Have a look at the files find a generation of the captain damaged."""
    finding = StoreFinding(slot="captain", number=number, repaired=False, text="It is damaged.")

    async def damaged(request, tell):
        return StoreCheck(files=3, bytes=10, findings=[finding])

    engine._slots_check = damaged


def test_what_is_damaged_is_taken_again(call, document, known, ada, engine):
    kept = install(document, ada)
    damage(engine, kept["version"]["number"])
    assert call("market", "verify")[0] == Refused.exit_code
    before = len(engine.versions["captain"])
    assert "taken again as generation" in call("market", "verify", "--repair")[1]
    assert len(engine.versions["captain"]) == before + 1


def test_what_is_damaged_is_not_replaced_by_a_namesake(call, document, known, ada, engine, tmp_path):
    kept = install(document, ada)
    damage(engine, kept["version"]["number"])
    other, eve = World(tmp_path / "other").begin(), publisher_of("eve", (9,))
    other.keeper.introduce(eve)
    file = other.bundle(seq=5, signing=9, publisher="eve")
    other.keeper.add(file, list_bundle(file, eve))
    other.publish()
    (tmp_path / "eve.json").write_bytes(eve.dump())
    document("trust", "pin", str(tmp_path / "eve.json"), "--confirm", eve.keys.fingerprint)
    document("market", "forget", "team")
    document("market", "add", str(other.folder), "--confirm", other.keeper.face().root)
    before = len(engine.versions["captain"])
    code, out, _ = call("market", "verify", "--repair")
    assert code == Refused.exit_code and "No registry lists captain 1.1.0 of ada" in out and "market update" in out
    assert len(engine.versions["captain"]) == before


def test_a_registry_that_goes_back_is_refused(document, call, known, site, publish, bundle, tmp_path):
    shutil.copytree(site["folder"], tmp_path / "old")
    publish(bundle("poet"))
    document("market", "refresh")
    shutil.rmtree(site["folder"])
    shutil.copytree(tmp_path / "old", site["folder"])
    code, out, _ = call("market", "refresh", "--json")
    assert code == Refused.exit_code and json.loads(out)[0]["code"] == "registry-rollback"


def test_a_broken_registry_keeps_no_other_from_being_read(call, document, failing, known, publish, bundle, tmp_path):
    broken = World(tmp_path / "broken").begin()
    document("market", "add", str(broken.folder), "--name", "broken", "--confirm", broken.keeper.face().root)
    root_of_it = tmp_path / "registries" / "broken" / "root.json"
    root_of_it.write_bytes(b"{}")
    publish(bundle("poet"))
    code, out, _ = call("market", "refresh", "--json")
    assert code == Damaged.exit_code
    assert [row.get("code", row.get("slots")) for row in json.loads(out)] == ["Damaged", 2]
    publish(bundle("sailor"))
    assert failing("market", "outdated")["exit_code"] == Damaged.exit_code
    assert "sailor" in [row["name"] for row in document("market", "search", "--registry", "team")]


@pytest.mark.parametrize("group", ["publisher", "trust", "market", "registry"])
def test_every_command_has_examples_and_json(group):
    context = click.Context(root)
    found = root.get_command(context, group)
    for name, command in found.commands.items():
        assert "nightschool" in (command.epilog or ""), f"{group} {name} has no example"
        assert any("--json" in option.opts for option in command.params), f"{group} {name} has no --json"


def test_a_registry_that_does_not_read_is_not_kept(document, failing, site, tmp_path):
    (tmp_path / "site" / "metadata" / "timestamp.json").write_text("{}")
    assert failing("market", "add", site["folder"], "--confirm", site["root"])["refusal"] == "registry-metadata"
    assert document("market") == []
