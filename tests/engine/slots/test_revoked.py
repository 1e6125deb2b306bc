"""A generation that came from a revoked bundle is not used any more, however it is reached; others are as before."""

import json

import pytest

from nightschool.engine.slots.revoked import Revoked
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import MarketError, Refused, Unchecked
from nightschool.schemas.records import BundleOrigin, MergeFacts, Parent, VersionKind
from nightschool.schemas.trust import REVOCATIONS, Revocation, RevocationFile

ID, OTHER = "a" * 64, "b" * 64
KEYS = ["1" * 64, "2" * 64, "3" * 64]


def origin(identity=ID, *, publisher="ada", signers=KEYS[:1], threshold=1):
    return BundleOrigin(
        id=identity, publisher=publisher, slot="poet", version="1.0.0", seq=1, signers=signers, threshold=threshold
    )


@pytest.fixture
def trust(tmp_path):
    folder = tmp_path / "trust"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path, trust):
    made = SlotStore(tmp_path / "slots", Revoked(trust))
    made.create("science")
    return made


@pytest.fixture
def adapter(tmp_path):
    folder = tmp_path / "candidate"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text("numbers")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    return folder


def revoke(trust, *rows):
    found = [
        Revocation(kind=kind, id=identity, reason="stolen", by="registry home", publisher=publisher, seen=1.0)
        for kind, identity, publisher in rows
    ]
    (trust / REVOCATIONS).write_text(RevocationFile(revocations=tuple(found)).model_dump_json())


def add(store, adapter, slot="science", **fields):
    return store.add_version(slot, adapter, base="f" * 64, **fields)


def refused(action):
    with pytest.raises(MarketError) as caught:
        action()
    return caught.value.code


def test_a_bundle_is_used_until_it_is_revoked(store, adapter, trust):
    add(store, adapter, origins=[origin()])
    assert store.adapter_folder("science") is not None
    revoke(trust, ("bundle", ID, ""))
    with pytest.raises(Refused, match=r"poet 1.0.0 of ada, which was revoked \(registry home: stolen\); go back"):
        store.adapter_folder("science")


def test_what_came_from_no_bundle_needs_no_permission(store, adapter, trust):
    add(store, adapter)
    (trust / REVOCATIONS).write_text("damaged")
    assert store.adapter_folder("science") is not None


@pytest.mark.parametrize("text", ["", "{", '{"format":1,"revocations":[{}]}', "[]"])
def test_a_file_that_does_not_read_is_no_permission(store, adapter, trust, text):
    add(store, adapter, origins=[origin()])
    (trust / REVOCATIONS).write_text(text)
    with pytest.raises(Unchecked):
        store.adapter_folder("science")


def test_there_is_a_way_back_from_a_revoked_generation(store, adapter, trust):
    add(store, adapter)
    add(store, adapter, origins=[origin()])
    revoke(trust, ("bundle", ID, ""))
    store.rollback("science")
    assert store.adapter_folder("science") is not None
    assert store.current("science").origins == []


def test_a_rollback_to_a_revoked_generation_is_refused(store, adapter, trust):
    add(store, adapter, origins=[origin()])
    add(store, None, origins=[])
    revoke(trust, ("bundle", ID, ""))
    assert refused(lambda: store.rollback("science", 1)) == "revoked"
    assert store.current("science").number == 2


def test_what_was_trained_on_blended_of_or_restored_from_it_is_revoked_too(store, adapter, trust):
    store.create("art")
    add(store, adapter, origins=[origin()])
    trained = add(store, adapter)
    parents = [
        Parent(slot=slot, number=number, weight=0.5, adapter_sha256="c" * 64)
        for slot, number in (("science", trained.number), ("science", 1))
    ]
    facts = MergeFacts(strategy="exact", parents=parents, rank=8, error=0.0)
    add(store, adapter, "art", kind=VersionKind.MERGE, merge=facts)
    add(store, None, "art", origins=[])
    restored = store.rollback("art", 1)
    assert [one.origins for one in (trained, restored)] == [[origin()]] * 2
    revoke(trust, ("bundle", ID, ""))
    for slot, number in (("science", 2), ("art", 1), ("art", 3)):
        assert refused(lambda slot=slot, number=number: store.adapter_folder(slot, number)) == "revoked"


def test_what_is_trained_anew_from_lessons_alone_is_free_of_it(store, adapter, trust):
    add(store, adapter, origins=[origin()])
    add(store, adapter, origins=())
    revoke(trust, ("bundle", ID, ""))
    assert store.adapter_folder("science") is not None


def test_a_revoked_key_takes_its_signature_away_and_no_more():
    two = RevocationFile(
        revocations=[Revocation(kind="key", id=KEYS[0], reason="", by="registry home", seen=1.0)],
    )
    assert two.against(origin(signers=KEYS[:1])) is not None
    assert two.against(origin(signers=KEYS[:2], threshold=2)) is not None
    assert two.against(origin(signers=KEYS, threshold=2)) is None
    assert two.against(origin(signers=KEYS[1:2])) is None


def test_a_publisher_revokes_what_is_its_own_alone(store, adapter, trust):
    add(store, adapter, origins=[origin()])
    revoke(trust, ("bundle", ID, "eve"), ("key", KEYS[0], "eve"))
    assert store.adapter_folder("science") is not None
    revoke(trust, ("bundle", ID, "ada"))
    assert refused(lambda: store.adapter_folder("science")) == "revoked"


def test_another_bundle_stays(store, adapter, trust):
    add(store, adapter, origins=[origin(OTHER)])
    revoke(trust, ("bundle", ID, ""))
    assert store.adapter_folder("science") is not None
