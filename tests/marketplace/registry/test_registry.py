"""A registry from its beginning to an installed bundle, as keeper and reader see it."""

import hashlib
import json

import pytest

from nightschool.marketplace.keys import words_of
from nightschool.marketplace.registry.client import Client, clients, look
from nightschool.marketplace.registry.listing import list_bundle
from nightschool.marketplace.registry.search import Query
from nightschool.marketplace.registry.source import Folder
from nightschool.marketplace.trust.judging import Offer
from nightschool.marketplace.trust.publisher import Withdrawn, revoke, rotate
from nightschool.marketplace.trust.records import State
from nightschool.schemas.errors import (
    Damaged,
    KeyUnusable,
    MarketError,
    NotConfirmed,
    NotFound,
    RegistryStale,
    UsageError,
)
from nightschool.schemas.trust import RevokedKind
from nightschool.tests.marketplace.people import key, key_set, keys, publisher
from nightschool.tests.marketplace.registry.world import ONLINE, ROOT_KEYS


def code_of(action, *arguments, **named):
    with pytest.raises(MarketError) as caught:
        action(*arguments, **named)
    return caught.value.code


def names(client):
    return [slot.name for slot in client.index().slots()]


def test_a_registry_must_be_confirmed_by_its_fingerprint(world):
    face, root = look(str(world.folder))
    assert face.root == hashlib.sha256(root).hexdigest()
    registries = world.root / "home" / "registries"
    with pytest.raises(NotConfirmed, match=words_of(face.root)):
        Client.meet(registries, str(world.folder), confirmed="")
    assert clients(registries) == []
    Client.meet(registries, str(world.folder), confirmed=words_of(face.root))
    assert [client.known().name for client in clients(registries)] == ["home"]
    with pytest.raises(UsageError, match="already"):
        Client.meet(registries, str(world.folder), confirmed=face.root)


def test_what_is_published_is_found_and_downloaded(listed, tmp_path):
    client = listed.client()
    assert client.refresh(listed.trust).changed
    slot = client.slot("captain")
    assert (slot.publisher, slot.title, slot.latest.version) == ("ada", "Captain", "1.1.0")
    client.download(slot, slot.latest, tmp_path / "got.slot")
    assert hashlib.sha256((tmp_path / "got.slot").read_bytes()).hexdigest() == slot.latest.sha256
    signed = client.manifest(slot, slot.latest)
    assert signed.id == slot.latest.id and signed.manifest.card.title == "Captain"


def test_nothing_is_seen_before_it_is_published(world):
    client = world.client()
    world.add()
    client.refresh(world.trust)
    assert names(client) == []
    world.publish()
    assert client.refresh(world.trust).changed
    assert names(client) == ["captain"]
    assert not client.refresh(world.trust).changed


def test_the_same_again_changes_nothing(listed):
    before = listed.keeper.state().slots
    listed.add()
    assert listed.keeper.pending().slots == []
    listed.publish()
    assert listed.keeper.state().slots == before


def test_a_new_version_stands_first(listed):
    listed.add(seq=2)
    listed.publish()
    client = listed.client()
    client.refresh(listed.trust)
    assert [version.version for version in client.slot("captain").versions] == ["1.2.0", "1.1.0"]


def test_a_number_is_given_once_and_only_forwards(world):
    world.add(seq=2)
    world.publish()
    assert code_of(world.add, seq=2, title="Other") == "equivocation"
    assert code_of(world.add, seq=1) == "rollback"
    world.add(seq=3)


def test_a_name_belongs_to_one_publisher(listed):
    eve = publisher("eve", (9,))
    listed.keeper.introduce(eve)
    file = listed.bundle(seq=5, signing=9, publisher="eve")
    assert code_of(listed.keeper.add, file, list_bundle(file, eve)) == "taken-name"


def test_a_publisher_is_introduced_first(world):
    eve = publisher("eve", (9,))
    file = world.bundle(signing=9, publisher="eve")
    with pytest.raises(NotFound, match="--publisher"):
        world.keeper.add(file, list_bundle(file, eve))


def test_only_what_an_import_would_take_is_listed(world):
    file = world.bundle(signing=2)
    assert code_of(list_bundle, file, world.ada) == "key-changed"
    whole = bytearray(world.bundle().read_bytes())
    whole[-2000] ^= 1
    file.write_bytes(whole)
    assert code_of(list_bundle, file, world.ada) in ("blob-digest", "padding", "trailing")


def test_a_publisher_is_followed_when_its_keys_change(listed):
    client = listed.client()
    client.refresh(listed.trust)
    listed.trust.meet(client.publisher("ada"), confirmed=key_set(1).fingerprint)
    listed.ada = rotate(listed.ada, key_set(2), keys(1, 2), created=2)
    listed.ada = revoke(listed.ada, keys(2), created=3, bundles=[Withdrawn(id="a" * 64, reason="broken")])
    listed.keeper.introduce(listed.ada)
    listed.publish()
    client.refresh(listed.trust)
    assert listed.trust.pin("ada").keys == key_set(2)
    assert [row.by for row in listed.trust.revocations().revocations] == ["publisher ada"]


def test_a_publisher_that_was_forgotten_and_met_again_is_followed_anew(listed):
    client = listed.client()
    listed.trust.meet(listed.ada, confirmed=listed.ada.keys.fingerprint)
    client.refresh(listed.trust)
    listed.trust.forget("ada")
    slot = client.slot("captain")
    listed.trust.accept(Offer.of(client.manifest(slot, slot.latest)), confirmed=listed.ada.keys.fingerprint)
    assert listed.trust.pin("ada").seq == 0
    client.refresh(listed.trust)
    assert listed.trust.pin("ada").seq == 1


def test_a_publisher_that_the_registry_swaps_is_a_warning_and_not_believed(listed):
    client = listed.client()
    listed.trust.meet(publisher("ada", (7,)), confirmed=key_set(7).fingerprint)
    found = client.refresh(listed.trust)
    assert [warning.code for warning in found.warnings] == ["equivocation"]
    assert listed.trust.pin("ada").keys == key_set(7)
    assert listed.trust.incidents()[0].code == "equivocation"


def test_the_keeper_takes_no_other_publisher_under_a_known_name(listed):
    assert code_of(listed.keeper.introduce, publisher("ada", (7,))) == "key-changed"
    longer = rotate(publisher("ada", (7,)), key_set(8), keys(7, 8), created=2)
    assert code_of(listed.keeper.introduce, longer) == "key-changed"


def revoking(world, *identifiers):
    """Return Ada's documents with bundles revoked, one list after the other."""
    made = world.ada
    for number, identifier in enumerate(identifiers, start=2):
        made = revoke(made, keys(1), created=number, bundles=[Withdrawn(id=identifier, reason="broken")])
    return made


def test_the_keeper_takes_back_nothing_that_a_publisher_revoked(listed):
    twice = revoking(listed, "a" * 64, "b" * 64)
    listed.keeper.introduce(twice)
    for older in (listed.ada, revoking(listed, "a" * 64)):
        assert code_of(listed.keeper.introduce, older) == "rollback"
    assert code_of(listed.keeper.introduce, revoking(listed, "a" * 64, "c" * 64)) == "equivocation"
    listed.keeper.introduce(rotate(twice, key_set(2), keys(1, 2), created=9))
    assert listed.keeper.publisher("ada").revocations == twice.revocations


def test_what_its_publisher_revoked_is_not_listed(world):
    file = world.bundle()
    found = list_bundle(file, world.ada)
    world.keeper.introduce(revoking(world, found.latest.id))
    assert code_of(world.keeper.add, file, found) == "revoked"


def test_a_revocation_reaches_the_reader_and_the_listing_goes(listed):
    client = listed.client()
    client.refresh(listed.trust)
    slot = client.slot("captain")
    offer = Offer.of(client.manifest(slot, slot.latest), registry="home")
    assert listed.trust.judge(offer).state is State.NEW
    listed.keeper.revoke(RevokedKind.BUNDLE, slot.latest.id, "it was poisoned")
    listed.publish()
    assert client.refresh(listed.trust).revoked == 1
    assert names(client) == []
    judgement = listed.trust.judge(offer)
    assert judgement.state is State.REVOKED and "it was poisoned" in judgement.sentence
    assert code_of(listed.add) == "revoked"


def test_an_older_copy_does_not_take_a_revocation_back(listed):
    old = listed.keep_copy()
    identifier = listed.keeper.state().slots[0].latest.id
    listed.keeper.revoke(RevokedKind.BUNDLE, identifier, "poisoned")
    listed.publish()
    listed.client().refresh(listed.trust)
    listed.client("stick", str(old)).refresh(listed.trust)
    assert [row.id for row in listed.trust.revocations().revocations] == [identifier]


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_stale_registry_can_be_browsed_but_not_installed_from(listed, tmp_path):
    client = listed.client()
    listed.wait(31)
    client.refresh(listed.trust)
    assert client.stale() and names(client) == ["captain"]
    slot = client.slot("captain")
    assert client.manifest(slot, slot.latest).id == slot.latest.id
    with pytest.raises(RegistryStale, match="--allow-stale"):
        client.download(slot, slot.latest, tmp_path / "got.slot")
    client.download(slot, slot.latest, tmp_path / "got.slot", allow_stale=True)


@pytest.mark.parametrize("days", [31, 91, 366])
def test_whichever_part_is_too_old_makes_it_stale(listed, days):
    listed.wait(days)
    client = listed.client()
    assert client.refresh(listed.trust).fetched.stale(listed.time())


def test_what_was_read_becomes_stale_by_itself(listed, tmp_path):
    client = listed.client()
    client.refresh(listed.trust)
    client.check_fresh()
    listed.wait(31)
    with pytest.raises(RegistryStale):
        client.check_fresh()


def test_a_new_publication_makes_it_fresh_again(listed):
    listed.wait(31)
    client = listed.client()
    client.refresh(listed.trust)
    listed.publish()
    client.refresh(listed.trust)
    assert not client.stale()


def test_a_registry_that_is_gone_can_still_be_browsed(listed):
    client = listed.client()
    client.refresh(listed.trust)
    listed.folder.rename(listed.root / "elsewhere")
    assert code_of(client.refresh, listed.trust) == "unreachable"
    assert names(listed.client()) == ["captain"]


# -- keys of the registry ---------------------------------------------------------------------------------------------


def test_only_its_own_key_publishes(world):
    with pytest.raises(KeyUnusable, match="--key"):
        world.keeper.publish(key(5))


def test_the_signing_key_changes_and_readers_follow(listed):
    client = listed.client()
    client.refresh(listed.trust)
    listed.keeper.rotate(key(ONLINE), keys(*ROOT_KEYS[:2]), new_online=key(111))
    client.refresh(listed.trust)
    with pytest.raises(KeyUnusable):
        listed.keeper.publish(key(ONLINE))
    listed.add(seq=2)
    listed.keeper.publish(key(111))
    client.refresh(listed.trust)
    assert client.slot("captain").latest.seq == 2
    fresh = listed.client("again")
    fresh.refresh(listed.trust)
    assert names(fresh) == ["captain"]


def test_the_root_keys_change_with_old_and_new_ones(listed):
    new = key_set(201, 202, threshold=2)
    with pytest.raises(KeyUnusable):
        listed.keeper.rotate(key(ONLINE), keys(101, 201, 202), root_keys=new)
    with pytest.raises(KeyUnusable):
        listed.keeper.rotate(key(ONLINE), keys(101, 102, 201), root_keys=new)
    listed.keeper.rotate(key(ONLINE), keys(101, 103, 201, 202), root_keys=new)
    assert listed.keeper.roots().keys == new
    listed.client().refresh(listed.trust)


# -- copies on this machine -------------------------------------------------------------------------------------------


def test_a_damaged_copy_of_the_catalog_is_not_searched(listed):
    listed.client().refresh(listed.trust)
    (file,) = listed.client().folder.glob("index-*.txt")
    file.write_text(file.read_text().replace("Captain", "Pirate!"))
    with pytest.raises(Damaged):
        listed.client().index()


def test_a_swapped_root_is_not_used(listed):
    client = listed.client()
    (client.folder / "root.json").write_bytes(b"{}")
    with pytest.raises(Damaged):
        client.refresh(listed.trust)


def test_a_forgotten_registry_leaves_nothing_but_its_revocations(listed):
    listed.keeper.revoke(RevokedKind.BUNDLE, "a" * 64, "poisoned")
    listed.publish()
    client = listed.client()
    client.refresh(listed.trust)
    client.forget()
    assert clients(client.folder.parent) == [] and not client.folder.exists()
    assert len(listed.trust.revocations().revocations) == 1


def test_every_file_of_a_registry_may_be_read_by_a_web_server(listed):
    for path in listed.folder.rglob("*"):
        if path.is_file() and path.name != ".lock":
            assert path.stat().st_mode & 0o444 == 0o444, path


def test_no_file_that_readers_rely_on_is_ever_changed_but_the_timestamp(listed):
    before = {path: path.read_bytes() for path in listed.folder.rglob("*.json") if path.name != "pending.json"}
    listed.add("other")
    listed.publish()
    listed.keeper.rotate(key(ONLINE), keys(*ROOT_KEYS[:2]), new_online=key(111))
    changed = [path.name for path, data in before.items() if path.read_bytes() != data]
    assert changed == ["timestamp.json"]


def test_a_folder_gives_no_file_outside_itself(listed, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (listed.folder / "metadata" / "link.json").symlink_to(tmp_path / "secret")
    (listed.folder / "away").symlink_to(tmp_path)
    source = Folder(listed.folder)
    for place in ("metadata/link.json", "away/secret", "metadata"):
        assert code_of(lambda place=place: b"".join(source.read(place, 100))) == "redirect"


# -- search -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(world):
    world.add("captain", tags=["style", "sea"], summary="Speaks like a sailor.")
    world.add("poet", tags=["style"], license="CC-BY-4.0", summary="Verse for a captain.")
    world.add("chef", tags=["food"], title="The Chef", license="Apache-2.0")
    world.publish()
    client = world.client()
    client.refresh(world.trust)
    return client.index()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), ["captain", "chef", "poet"]),
        (Query("CAPTAIN"), ["captain", "poet"]),
        (Query("captain verse"), ["poet"]),
        (Query("nothing of the kind"), []),
        (Query(tags=["style"]), ["captain", "poet"]),
        (Query(tags=["style", "sea"]), ["captain"]),
        (Query(licence="cc-by"), ["poet"]),
        (Query(base="tiny"), ["captain", "chef", "poet"]),
        (Query(base="qwen"), []),
        (Query(publisher="eve"), []),
        (Query(largest=10), []),
        (Query("the chef", tags=["food"], licence="Apache-2.0", largest=1 << 20, base="tiny"), ["chef"]),
    ],
)
def test_search_finds_what_fits_every_condition(many, query, found):
    assert [slot.name for slot in many.search(query)[0]] == found
    assert many.search(query, limit=1) == (many.search(query)[0][:1], len(found))


def test_the_base_is_found_by_fingerprint(many):
    fingerprint = many.slot("chef").latest.base.fingerprint
    assert many.search(Query(base=fingerprint[:12]))[1] == 3


def test_the_face_is_plain_json(world):
    assert json.loads((world.folder / "registry.json").read_text())["name"] == "home"
