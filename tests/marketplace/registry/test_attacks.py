"""What a hostile server, mirror or stick can do to a reader (TUF's list): each is refused, and what was known stays."""

import hashlib
import itertools

import pytest
from tuf.api.metadata import Metadata

from nightschool.marketplace import strict_json
from nightschool.marketplace.registry import layout, roles
from nightschool.marketplace.registry.keeping import Keeper
from nightschool.marketplace.registry.source import Folder
from nightschool.marketplace.trust.key_set import KeySet
from nightschool.schemas.errors import MarketError
from nightschool.tests.marketplace.people import key, key_set, keys
from nightschool.tests.marketplace.registry.world import ONLINE, ROOT_KEYS


def refused(action, *arguments, **named):
    with pytest.raises(MarketError) as caught:
        action(*arguments, **named)
    return caught.value.code


def names(client):
    return [slot.name for slot in client.index().slots()]


@pytest.fixture
def client(listed):
    made = listed.client()
    made.refresh(listed.trust)
    return made


@pytest.fixture
def newer(listed, client):
    """A copy of the registry before its newest publication, which the client has seen."""
    old = listed.keep_copy()
    listed.add("poet")
    listed.publish()
    client.refresh(listed.trust)
    return old


def catalog_of(world):
    """What the published catalog says."""
    targets = world.folder / layout.metadata("targets", world.keeper.state().version)
    sha256 = roles.listed(targets.read_bytes())[layout.CATALOG]
    return strict_json.loads((world.folder / layout.target(layout.CATALOG, sha256)).read_bytes())


def put_part(world, slots, digits=None):
    """Lay a part of a catalog beside the others and return how a catalog lists it."""
    data = strict_json.dumps({"format": 1, "slots": slots})
    sha256, digits = hashlib.sha256(data).hexdigest(), digits or layout.part_of(slots[0]["name"])
    (world.folder / layout.part(digits, sha256)).write_bytes(data)
    return {digits: {"sha256": sha256, "length": len(data)}}


def forge(world, signing, version, files=None):
    """Write a publication signed by whoever wants to."""
    files = files or {
        layout.CATALOG: strict_json.dumps({**catalog_of(world), "parts": {}}),
        layout.REVOCATIONS: strict_json.dumps(world.keeper.state().revoked.model_dump()),
    }
    for name, data in files.items():
        place = world.folder / layout.target(name, hashlib.sha256(data).hexdigest())
        place.write_bytes(data)
    for role, raw in zip(
        ("targets", "snapshot", "timestamp"), roles.signed_lists(files, version, signing, now=world.now), strict=True
    ):
        place = layout.TIMESTAMP if role == "timestamp" else layout.metadata(role, version)
        (world.folder / place).write_bytes(raw)


def sign_catalog(world, **change):
    """Publish the catalog with something of it changed, signed as it must be."""
    state = world.keeper.state()
    catalog = strict_json.dumps({**catalog_of(world), **change})
    files = {layout.CATALOG: catalog, layout.REVOCATIONS: strict_json.dumps(state.revoked.model_dump())}
    forge(world, keys(ONLINE), state.version + 1, files)


def test_rollback_of_everything(listed, client, newer):
    listed.show_again(newer)
    assert refused(client.refresh, listed.trust) == "registry-rollback"
    assert names(client) == ["captain", "poet"]


def test_rollback_of_the_timestamp_alone(listed, client, newer):
    listed.show_again(newer, layout.TIMESTAMP)
    assert refused(client.refresh, listed.trust) == "registry-rollback"


def test_rollback_signed_anew_by_a_stolen_key(listed, client, newer):
    forge(listed, keys(ONLINE), 1)
    assert refused(client.refresh, listed.trust) == "registry-rollback"


def test_freeze(listed, client):
    old = listed.keep_copy()
    listed.add("poet")
    listed.publish()
    listed.show_again(old)
    listed.wait(31)
    assert client.refresh(listed.trust).fetched.stale(listed.time())
    assert refused(client.check_fresh) == "stale"


def test_freeze_and_rollback_at_once(listed, client, newer):
    listed.wait(31)
    listed.show_again(newer)
    assert refused(client.refresh, listed.trust) == "registry-rollback"


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_mix_and_match_of_metadata(listed, client, role):
    listed.publish()
    version = listed.keeper.state().version
    (listed.folder / layout.metadata(role, version)).write_bytes(
        (listed.folder / layout.metadata(role, version - 1)).read_bytes()
    )
    assert refused(client.refresh, listed.trust) == "registry-mix"


@pytest.mark.parametrize("name", [layout.CATALOG, layout.REVOCATIONS])
def test_mix_and_match_of_files(listed, name):
    listed.client()
    version = listed.keeper.state().version
    listed_files = roles.listed((listed.folder / layout.metadata("targets", version)).read_bytes())
    place = listed.folder / layout.target(name, listed_files[name])
    place.write_bytes(place.read_bytes().replace(b"home", b"evil"))
    assert refused(listed.client().refresh, listed.trust) == "registry-mix"


def test_a_changed_bundle(listed, client, tmp_path):
    slot = client.slot("captain")
    place = listed.folder / layout.bundle("captain", slot.latest.version, slot.latest.sha256)
    data = bytearray(place.read_bytes())
    data[-1500] ^= 1
    place.write_bytes(data)
    target = tmp_path / "got" / "got.slot"
    target.parent.mkdir()
    assert refused(client.download, slot, slot.latest, target) == "registry-mix"
    assert list(target.parent.iterdir()) == []


def test_a_bundle_that_is_another_than_the_listed_one(listed, client):
    slot = client.slot("captain")
    wrong = slot.latest.model_copy(update={"id": "a" * 64})
    assert refused(client.manifest, slot, wrong) == "listing"


def test_arbitrary_software_signed_by_nobody_who_may(listed, client):
    forge(listed, keys(66), 99)
    assert refused(client.refresh, listed.trust) == "registry-signature"
    assert names(client) == ["captain"]


def test_another_registry_in_the_same_place(listed, client, tmp_path):
    root = KeySet.of([key(66).public], 1)
    Keeper(tmp_path / "evil", lambda: listed.now).begin("home", "Home registry", root, keys(66), key(67))
    listed.show_again(tmp_path / "evil")
    assert refused(client.refresh, listed.trust) == "registry-signature"


class Endless(Folder):
    """Serves a registry whose files of one kind never end."""

    def __init__(self, folder, kind):
        super().__init__(folder)
        self.kind = kind
        self.given = 0

    def read(self, place, most):
        if self.kind not in place:
            yield from super().read(place, most)
            return
        for piece in itertools.repeat(b" " * 65536):
            self.given += len(piece)
            if self.given > most:
                from nightschool.marketplace.refusals import refuse

                raise refuse("too-long", place)
            yield piece


def test_more_revocations_than_a_reader_takes(listed):
    files = {layout.CATALOG: strict_json.dumps(catalog_of(listed)), layout.REVOCATIONS: b" " * (64 << 20)}
    forge(listed, keys(ONLINE), listed.keeper.state().version + 1, files)
    source = Endless(listed.folder, "revocations")
    assert refused(listed.client().refresh, listed.trust, source) == "too-long"
    assert source.given == 0


@pytest.mark.parametrize("kind", ["root.json", "timestamp.json", "snapshot", "targets.json", "catalog", "revocations"])
def test_endless_data(listed, kind):
    source = Endless(listed.folder, kind)
    assert refused(listed.client().refresh, listed.trust, source) == "too-long"
    assert source.given < 1 << 20


def test_endless_data_after_a_bundle(listed, client, tmp_path):
    slot = client.slot("captain")
    place = listed.folder / layout.bundle("captain", slot.latest.version, slot.latest.sha256)
    with place.open("ab") as stream:
        stream.write(b"more")
    assert refused(client.download, slot, slot.latest, tmp_path / "got.slot") == "too-long"


def test_a_new_root_that_too_few_of_the_old_keys_signed(listed, client):
    before = listed.keeper.roots()
    stranger = key_set(66)
    root = Metadata.from_bytes(roles.new_root(stranger, key(67).public, keys(66), now=listed.now))
    root.signed.version = before.version + 1
    root.signatures.clear()
    for number in (ROOT_KEYS[0], 66):
        signer = roles.CryptoSigner(roles.Ed25519PrivateKey.from_private_bytes(key(number).raw))
        root.sign(signer, append=True)
    (listed.folder / layout.metadata("root", 2)).write_bytes(root.to_bytes())
    assert refused(client.refresh, listed.trust) == "registry-signature"
    assert names(client) == ["captain"]


def test_a_stolen_signing_key_is_worth_nothing_once_it_was_replaced(listed, client):
    listed.keeper.rotate(key(ONLINE), keys(*ROOT_KEYS[:2]), new_online=key(111))
    listed.keeper.publish(key(111))
    client.refresh(listed.trust)
    forge(listed, keys(ONLINE), 99)
    assert refused(client.refresh, listed.trust) == "registry-signature"


def test_a_reader_recovers_from_a_number_that_a_stolen_key_drove_up(listed, client):
    honest = listed.keep_copy()
    forge(listed, keys(ONLINE), 1_000_000)
    client.refresh(listed.trust)
    assert names(client) == []
    listed.show_again(honest)
    assert refused(client.refresh, listed.trust) == "registry-rollback"
    listed.keeper.rotate(key(ONLINE), keys(*ROOT_KEYS[:2]), new_online=key(111))
    listed.keeper.publish(key(111))
    client.refresh(listed.trust)
    assert names(client) == ["captain"]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"signed":{},"signatures":[]}', b"[" * 10_000, b"\xff", b'{"signed":1}']
)
@pytest.mark.parametrize("place", [layout.TIMESTAMP, layout.metadata("root", 2)])
def test_metadata_that_is_none(listed, client, text, place):
    (listed.folder / place).write_bytes(text)
    assert refused(client.refresh, listed.trust) in ("registry-metadata", "registry-signature")
    assert names(client) == ["captain"]


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"format": 2},
        {"parts": {"../x": {"sha256": "a" * 64, "length": 1}}},
        {"publishers": {"../x": {"sha256": "a" * 64, "length": 1, "seq": 1, "fingerprint": "a" * 64}}},
    ],
)
def test_a_catalog_that_is_none_although_it_is_signed(listed, client, change):
    sign_catalog(listed, **change)
    assert refused(client.refresh, listed.trust) == "fields"
    assert names(client) == ["captain"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"title": "[@click=app.quit]Free[/]"}, "text"),
        ({"title": "\u202eevil"}, "text"),
        ({"summary": "one\ntwo"}, "text"),
        ({"summary": "one\u001ftwo"}, "text"),
        ({"name": "../x"}, "fields"),
        ({"name": "other"}, "fields"),
        ({"publisher": "Ada\u001f"}, "fields"),
        ({"versions": []}, "fields"),
    ],
)
def test_a_slot_that_is_none_although_it_is_signed(listed, change, code):
    slot = listed.keeper.state().slots[0].model_dump() | change
    sign_catalog(listed, parts=put_part(listed, [slot], layout.part_of("captain")))
    assert refused(listed.client().refresh, listed.trust) == code


def test_a_slot_that_is_listed_twice(listed):
    sign_catalog(listed, parts=put_part(listed, [listed.keeper.state().slots[0].model_dump()] * 2))
    assert refused(listed.client().refresh, listed.trust) == "fields"


def test_a_date_that_no_calendar_has(listed):
    slot = listed.keeper.state().slots[0].model_dump()
    slot["versions"][0]["created"] = 253_402_300_800
    sign_catalog(listed, parts=put_part(listed, [slot]))
    assert refused(listed.client().refresh, listed.trust) == "fields"


def test_a_part_without_slots(listed, client):
    parts = catalog_of(listed)["parts"] | put_part(listed, [], "00")
    for created in (1, 2):
        sign_catalog(listed, parts=parts, created=created)
        client.refresh(listed.trust)
    assert names(client) == ["captain"]


def test_a_file_that_is_listed_and_not_there(listed, client, tmp_path):
    slot = client.slot("captain")
    (listed.folder / layout.bundle("captain", slot.latest.version, slot.latest.sha256)).unlink()
    assert refused(client.download, slot, slot.latest, tmp_path / "got.slot") == "registry-mix"
    assert refused(client.manifest, slot, slot.latest) == "registry-mix"
    sign_catalog(listed, parts={"00": {"sha256": "a" * 64, "length": 1}})
    assert refused(client.refresh, listed.trust) == "registry-mix"
    assert names(client) == ["captain"]


def test_a_pinned_publisher_whose_file_is_not_there(listed):
    listed.trust.meet(listed.ada, confirmed=listed.ada.keys.fingerprint)
    for place in (listed.folder / "targets" / "publishers").iterdir():
        place.unlink()
    found = listed.client().refresh(listed.trust)
    assert [warning.code for warning in found.warnings] == ["registry-mix"]
    assert names(listed.client()) == ["captain"]
