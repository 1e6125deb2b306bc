"""What a profile remembers: first meetings, changed keys, going back, two things under one number, revocations."""

import json
import multiprocessing
import os

import pytest

from nightschool.engine.slots.revoked import Revoked
from nightschool.marketplace.trust.judging import Offer
from nightschool.marketplace.trust.publisher import Withdrawn, revoke, rotate
from nightschool.marketplace.trust.records import State
from nightschool.marketplace.trust.store import TrustStore
from nightschool.schemas.errors import MarketError, NotConfirmed, NotFound, Refused, Unchecked, UsageError
from nightschool.schemas.records import Version
from nightschool.schemas.trust import REVOCATIONS, Revocation
from nightschool.tests.engine.slots.faults import failed_at, killed_at
from nightschool.tests.marketplace.people import identity, key, key_set, keys, offer, publisher


@pytest.fixture
def trust(tmp_path):
    return TrustStore(tmp_path / "trust", clock=lambda: 1000.0)


def code_of(action, *arguments, **named):
    with pytest.raises(MarketError) as caught:
        action(*arguments, **named)
    return caught.value.code


def taken(trust, given):
    return trust.accept(given, confirmed=given.keys.fingerprint)


def revocation(identifier, kind="bundle", by="registry home"):
    return Revocation(kind=kind, id=identifier, reason="broken", by=by, seen=1.0)


def test_a_new_publisher_must_be_confirmed(trust):
    assert trust.judge(offer()).state is State.NEW
    with pytest.raises(NotConfirmed, match="compare the six words") as caught:
        trust.accept(offer())
    assert key_set(1).words in str(caught.value)
    assert code_of(trust.accept, offer(), confirmed=key_set(2).fingerprint) == "new-publisher"
    assert trust.pins() == []


def test_a_confirmed_publisher_is_verified_from_then_on(trust):
    pin = taken(trust, offer(registry="home"))
    assert (pin.name, pin.registry, pin.first_seen, pin.keys) == ("ada", "home", 1000.0, key_set(1))
    assert trust.judge(offer(seq=2)).state is State.VERIFIED
    trust.accept(offer(seq=2))
    assert trust.pin("ada").highest["poet"].seq == 2


def test_another_key_under_a_known_name_is_blocked_and_remembered(trust):
    taken(trust, offer())
    stranger = offer(seq=2, numbers=(2,))
    assert trust.judge(stranger).state is State.CHANGED
    assert code_of(trust.accept, stranger, confirmed=stranger.keys.fingerprint) == "key-changed"
    assert [(row.code, row.publisher) for row in trust.incidents()] == [("key-changed", "ada")]
    assert trust.pin("ada").keys == key_set(1)


def test_the_same_keys_with_a_lower_threshold_are_other_keys(trust):
    taken(trust, offer(numbers=(1, 2), threshold=2))
    assert code_of(trust.accept, offer(seq=2, numbers=(1, 2), threshold=1, signers=(1,))) == "key-changed"


def test_a_lower_number_is_a_rollback(trust):
    taken(trust, offer(seq=5))
    assert trust.judge(offer(seq=4)).state is State.BACK
    assert code_of(trust.accept, offer(seq=4)) == "rollback"
    assert trust.pin("ada").highest["poet"].seq == 5
    trust.accept(offer(slot="other", seq=1))


def test_what_is_here_already_counts_as_taken(trust):
    """A kill came between the two."""
    taken(trust, offer(seq=2))
    trust.remember([offer(seq=seq).origin for seq in (5, 4, 1)])
    assert trust.pin("ada").highest["poet"].seq == 5
    assert code_of(trust.accept, offer(seq=4)) == "rollback"
    trust.accept(offer(seq=5))


def test_what_a_namesake_made_does_not_count_as_taken(trust):
    trust.remember([offer(seq=5).origin])
    assert trust.pins() == []
    taken(trust, offer(seq=2))
    trust.remember([offer(seq=5, numbers=(2,)).origin])
    assert trust.pin("ada").highest["poet"].seq == 2


def test_the_same_number_for_another_content_is_equivocation(trust):
    taken(trust, offer(seq=5))
    trust.accept(offer(seq=5))
    assert trust.judge(offer(seq=5, text="other", stale=True)).state is State.BACK
    assert code_of(trust.accept, offer(seq=5, text="other")) == "equivocation"
    assert trust.incidents()[0].code == "equivocation"


def test_the_same_incident_is_remembered_once(trust):
    taken(trust, offer(seq=5))
    for _ in range(3):
        code_of(trust.accept, offer(seq=4))
    assert len(trust.incidents()) == 1


def test_unsigned_is_a_state_of_its_own(trust):
    judgement = trust.judge(offer(signers=()))
    assert judgement.state is State.UNSIGNED and judgement.refusal.code == "unsigned"


def test_a_stale_registry_is_said_and_hides_nothing_worse(trust):
    taken(trust, offer(seq=2))
    assert trust.judge(offer(seq=3, registry="home", stale=True)).state is State.STALE
    assert "too old" in trust.judge(offer(seq=3, registry="home", stale=True)).sentence
    assert trust.judge(offer(seq=1, registry="home", stale=True)).refusal.code == "rollback"
    assert trust.judge(offer(seq=3, numbers=(2,), stale=True)).state is State.CHANGED


# -- changing keys ----------------------------------------------------------------------------------------------------


def rotated(*steps):
    made = publisher()
    before = (1,)
    for step in steps:
        made = rotate(made, key_set(*step), keys(*before, *step), created=2)
        before = step
    return made


def test_a_chain_of_documents_brings_new_keys(trust):
    taken(trust, offer(seq=3))
    assert code_of(trust.accept, offer(seq=4, numbers=(2,))) == "key-changed"
    trust.meet(rotated((2,)))
    trust.accept(offer(seq=4, numbers=(2,)))
    assert trust.pin("ada").keys == key_set(2)


def test_a_chain_that_does_not_lead_through_the_pinned_keys_is_refused(trust):
    taken(trust, offer(numbers=(5,)))
    assert code_of(trust.meet, rotated((2,))) == "key-changed"
    assert trust.pin("ada").keys == key_set(5)


def test_an_older_chain_does_not_bring_old_keys_back(trust):
    trust.meet(rotated((2,), (3,)), confirmed=key_set(3).fingerprint)
    assert code_of(trust.meet, rotated((2,))) == "rollback"
    assert trust.pin("ada").keys == key_set(3)


def test_two_documents_of_one_number_are_equivocation(trust):
    trust.meet(rotated((2,)), confirmed=key_set(2).fingerprint)
    assert code_of(trust.meet, rotated((4,))) == "equivocation"
    assert code_of(trust.meet, rotated((4,), (2,))) == "equivocation"


def test_what_was_signed_with_replaced_keys_needs_a_registry_that_lists_it(trust):
    taken(trust, offer(seq=1))
    trust.meet(rotated((2,)))
    assert code_of(trust.accept, offer(seq=2)) == "key-retired"
    trust.accept(offer(seq=1))
    trust.accept(offer(seq=2, registry="home"))


def test_a_new_publisher_is_met_by_its_newest_keys(trust):
    assert code_of(trust.meet, rotated((2,)), confirmed=key_set(1).fingerprint) == "new-publisher"
    trust.meet(rotated((2,)), confirmed=key_set(2).fingerprint)
    assert trust.judge(offer(numbers=(2,))).state is State.VERIFIED


def test_the_user_can_pin_other_keys_by_naming_the_old_ones(trust):
    taken(trust, offer(seq=3))
    for wrong in ("", key_set(2).fingerprint, key_set(1).fingerprint[:-1]):
        with pytest.raises(UsageError):
            trust.repin(publisher("ada", (2,)), old_fingerprint=wrong)
    trust.repin(publisher("ada", (2,)), old_fingerprint=key_set(1).fingerprint.upper())
    trust.accept(offer(seq=4, numbers=(2,)))
    assert code_of(trust.accept, offer(seq=2, numbers=(2,))) == "rollback"
    with pytest.raises(NotFound):
        trust.repin(publisher("eve", (2,)), old_fingerprint="")


def test_a_forgotten_publisher_is_new_again(trust):
    taken(trust, offer())
    trust.forget("ada")
    assert trust.judge(offer()).state is State.NEW
    with pytest.raises(NotFound):
        trust.forget("ada")


def test_a_slot_can_be_held(trust):
    taken(trust, offer())
    assert trust.hold("ada", "poet", held=True).hold == ["poet"]
    assert trust.hold("ada", "poet", held=False).hold == []


# -- revocation -------------------------------------------------------------------------------------------------------


def test_a_revoked_bundle_is_refused_and_stays_so(trust):
    taken(trust, offer())
    assert trust.revoke([revocation(offer().origin.id)]) == 1
    assert trust.judge(offer()).state is State.REVOKED
    assert code_of(trust.accept, offer()) == "revoked"
    assert trust.revoke([revocation(identity("another"))]) == 1
    assert code_of(trust.accept, offer()) == "revoked"


def test_forgetting_a_publisher_takes_no_revocation_back(trust):
    taken(trust, offer())
    trust.revoke([revocation(offer().origin.id)])
    trust.forget("ada")
    assert code_of(trust.accept, offer(), confirmed=key_set(1).fingerprint) == "revoked"


def test_what_was_revoked_first_is_what_is_kept(trust):
    trust.revoke([revocation(identity("x"), by="registry home")])
    assert trust.revoke([revocation(identity("x"), by="registry other")]) == 0
    assert [row.by for row in trust.revocations().revocations] == ["registry home"]


def test_a_publisher_that_revokes_a_stolen_key_stops_what_it_signed(trust):
    taken(trust, offer(seq=1))
    made = revoke(rotated((2,)), keys(2), created=3, keys=[Withdrawn(id=key(1).public.fingerprint, reason="stolen")])
    trust.meet(made)
    assert code_of(trust.accept, offer(seq=2, registry="home")) == "revoked"
    trust.accept(offer(seq=2, numbers=(2,)))


def test_an_older_file_of_the_publisher_takes_nothing_back(trust):
    taken(trust, offer(seq=1))
    trust.meet(revoke(publisher(), keys(1), created=3, bundles=[Withdrawn(id=offer().origin.id, reason="bad")]))
    trust.meet(publisher())
    assert code_of(trust.accept, offer(seq=1)) == "revoked"


def test_the_engine_stops_using_what_the_trust_store_saw_revoked(trust):
    permit = Revoked(trust.folder)
    one = Version(slot="s", number=1, kind="import", parent=0, base="", created=0, origins=[offer().origin])
    permit(one)
    trust.revoke([revocation(offer().origin.id)])
    with pytest.raises(Refused):
        permit(one)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pins.json", REVOCATIONS])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"format":1,"more":2}'])
def test_a_damaged_file_is_unchecked_and_never_written_over(trust, name, text):
    taken(trust, offer())
    trust.revoke([revocation(identity("x"))])
    (trust.folder / name).write_text(text)
    with pytest.raises(Unchecked):
        trust.accept(offer(seq=2), confirmed=key_set(1).fingerprint)
    with pytest.raises(Unchecked):
        trust.revoke([revocation(identity("y"))]) if name == REVOCATIONS else trust.forget("ada")
    assert (trust.folder / name).read_text() == text


def test_a_file_that_cannot_be_read_is_unchecked(trust):
    taken(trust, offer())
    (trust.folder / "pins.json").unlink()
    (trust.folder / "pins.json").mkdir()
    with pytest.raises(Unchecked):
        trust.judge(offer())


def changes(folder):
    """Everything that writes, one after the other."""
    store = TrustStore(folder, clock=lambda: 1000.0)
    if store.pin("ada") is None:
        store.accept(offer(), confirmed=key_set(1).fingerprint)
    store.revoke([revocation(identity("x"))])
    store.meet(rotated((2,)))
    store.accept(offer(seq=2, numbers=(2,)))


@pytest.mark.parametrize("how", ["killed", "full"])
def test_every_step_may_be_the_last_one(tmp_path, monkeypatch, how):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    step, reached = 0, True
    while reached:
        step += 1
        folder = tmp_path / str(step)

        def action(folder=folder):
            changes(folder)

        reached = killed_at(step, action) if how == "killed" else failed_at(step, action, 28)
        store = TrustStore(folder, clock=lambda: 1000.0)
        store.pins(), store.revocations()
        changes(folder)
        assert store.pin("ada").keys == key_set(2) and store.pin("ada").highest["poet"].seq == 2
        assert len(store.revocations().revocations) == 1
    assert step > 5


def revoke_some(folder, start):
    for number in range(start, start + 10):
        TrustStore(folder).revoke([revocation(identity(str(number)))])


def test_two_processes_lose_nothing_of_each_other(tmp_path):
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=revoke_some, args=(tmp_path / "trust", start)) for start in (0, 10)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert len(TrustStore(tmp_path / "trust").revocations().revocations) == 20


def test_what_is_kept_reads_as_plain_json(trust):
    taken(trust, offer())
    assert json.loads((trust.folder / "pins.json").read_text())["pins"]["ada"]["highest"]["poet"]["seq"] == 1
    assert isinstance(offer(), Offer)
