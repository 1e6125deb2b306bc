"""A publisher's documents: who may change the keys, and that nothing else is believed."""

import pytest

from nightschool.marketplace import dsse
from nightschool.marketplace.strict_json import dumps, loads
from nightschool.marketplace.trust.key_set import KeySet
from nightschool.marketplace.trust.publisher import (
    DOCUMENT_TYPE,
    MAX_FILE,
    MAX_STEPS,
    Withdrawn,
    begin,
    read_publisher,
    revoke,
    rotate,
)
from nightschool.schemas.errors import MarketError
from nightschool.tests.marketplace.people import key, key_set, keys, publisher


def code_of(action):
    with pytest.raises(MarketError) as caught:
        action()
    return caught.value.code


def test_a_publisher_reads_back_from_its_file():
    made = publisher(numbers=(1, 2, 3), threshold=2)
    assert read_publisher(made.dump()) == made
    assert (made.name, made.seq, made.keys) == ("ada", 1, key_set(3, 2, 1, threshold=2))


def test_keys_change_with_the_old_ones_and_the_new_ones():
    made = rotate(publisher(), key_set(2, 3, threshold=2), keys(1, 2, 3), created=2)
    assert made.steps == (key_set(1), key_set(2, 3, threshold=2))
    assert read_publisher(made.dump()) == made


@pytest.mark.parametrize(
    ("signing", "code"), [((2,), "rotation"), ((1,), "bad-signature"), ((9,), "unsigned"), ((), "unsigned")]
)
def test_a_change_that_old_or_new_keys_did_not_sign_is_refused(signing, code):
    assert code_of(lambda: rotate(publisher(), key_set(2), keys(*signing), created=2)) == code


def test_no_more_keys_sign_a_change_than_must():
    made = publisher(numbers=(1, 2, 3, 4, 5), threshold=3)
    made = rotate(made, key_set(6, 7, 8, 9, 10, threshold=3), keys(*range(1, 11)), created=2)
    assert len(dsse.open_envelope(made.envelopes[-1]).signatures) == 6
    made = rotate(made, key_set(6, 7, 8, threshold=3), keys(*range(6, 11)), created=3)
    assert len(dsse.open_envelope(made.envelopes[-1]).signatures) == 3


def test_one_of_two_old_keys_is_too_few():
    made = publisher(numbers=(1, 2), threshold=2)
    assert code_of(lambda: rotate(made, key_set(3), keys(1, 3), created=2)) == "rotation"
    assert rotate(made, key_set(3), keys(1, 2, 3), created=2).keys == key_set(3)


def test_keys_can_change_often_but_not_for_ever():
    made = publisher()
    for step in range(2, MAX_STEPS + 2):
        made = rotate(made, key_set(step), keys(step - 1, step), created=step)
    assert read_publisher(made.dump()).keys == key_set(MAX_STEPS + 1)
    assert code_of(lambda: rotate(made, key_set(99), keys(MAX_STEPS + 1, 99), created=99)) == "publisher"


def documents(made, *envelopes):
    return dumps({"format": 1, "documents": [loads(raw) for raw in envelopes or made.envelopes], "revocations": None})


def test_documents_come_in_their_order_and_none_is_left_out():
    made = rotate(rotate(publisher(), key_set(2), keys(1, 2), created=2), key_set(3), keys(2, 3), created=3)
    one, two, three = made.envelopes
    for wrong in ((two, three), (one, three), (one, three, two), (one, one)):
        assert code_of(lambda wrong=wrong: read_publisher(documents(made, *wrong))) == "publisher"


def test_a_document_of_somebody_else_is_not_followed():
    other = publisher("eve", (1,))
    assert code_of(lambda: read_publisher(documents(None, publisher().envelopes[0], other.envelopes[0]))) == "publisher"


def document(**fields):
    content = loads(dsse.open_envelope(publisher().envelopes[0]).unverified_payload) | fields
    return documents(None, dsse.sign(dumps(content), DOCUMENT_TYPE, keys(1)))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "Ada"}, "publisher"),
        ({"name": "../x"}, "publisher"),
        ({"name": ""}, "publisher"),
        ({"format": 2}, "publisher"),
        ({"format": True}, "publisher"),
        ({"seq": 0}, "publisher"),
        ({"seq": True}, "publisher"),
        ({"threshold": 0}, "publisher"),
        ({"threshold": 2}, "publisher"),
        ({"keys": []}, "publisher"),
        ({"keys": [key(1).public.facts()] * 2}, "publisher"),
        ({"keys": [key(number).public.facts() for number in range(1, 10)]}, "publisher"),
        ({"keys": [{"alg": "ed25519", "public": "AQ" + "A" * 41 + "="}]}, "weak-key"),
        ({"keys": [{"alg": "rsa", "public": ""}]}, "publisher"),
        ({"more": 1}, "publisher"),
    ],
)
def test_a_document_has_its_form(fields, code):
    assert code_of(lambda: read_publisher(document(**fields))) == code


def test_a_publisher_must_hold_the_keys_that_it_names():
    assert code_of(lambda: begin("ada", key_set(2), keys(1), created=1)) == "bad-signature"
    assert code_of(lambda: begin("ada", key_set(1, 2, threshold=2), keys(1), created=1)) == "threshold"


def test_a_file_that_is_too_long_is_not_read():
    assert code_of(lambda: read_publisher(b" " * (MAX_FILE + 1))) == "json-size"


# -- what it revokes --------------------------------------------------------------------------------------------------

STOLEN = Withdrawn(id=key(1).public.fingerprint, reason="stolen")
BROKEN = Withdrawn(id="a" * 64, reason="it was broken")


def test_a_publisher_revokes_old_keys_and_bundles_of_its_own():
    made = rotate(publisher(), key_set(2), keys(1, 2), created=2)
    made = revoke(made, keys(2), created=3, keys=[STOLEN])
    made = revoke(made, keys(2), created=4, bundles=[BROKEN], keys=[STOLEN])
    assert (made.revocations.keys, made.revocations.bundles, made.revocations.seq) == ([STOLEN], [BROKEN], 2)
    assert read_publisher(made.dump()) == made


def test_only_the_keys_that_count_revoke():
    made = rotate(publisher(), key_set(2), keys(1, 2), created=2)
    assert code_of(lambda: revoke(made, keys(1), created=3, bundles=[BROKEN])) == "bad-signature"


def test_nobody_revokes_the_keys_of_others():
    others = Withdrawn(id=key(7).public.fingerprint, reason="mine now")
    assert code_of(lambda: revoke(publisher(), keys(1), created=3, keys=[others])) == "publisher"


def test_what_was_revoked_stays_so_when_the_keys_change():
    before = revoke(publisher(), keys(1), created=2, bundles=[BROKEN])
    made = rotate(before, key_set(2), keys(1, 2), created=3)
    assert (made.keys, made.revocations) == (key_set(2), before.revocations)
    assert read_publisher(made.dump()) == made
    assert revoke(made, keys(2), created=4, keys=[STOLEN]).revocations.bundles == [BROKEN]


def test_a_long_list_of_revocations_is_written_and_read():
    rows = [Withdrawn(id=f"{number:064x}", reason="x" * 200) for number in range(1000)]
    made = revoke(publisher(), keys(1), created=2, bundles=rows)
    assert read_publisher(made.dump()) == made
    assert rotate(made, key_set(2), keys(1, 2), created=3).revocations.bundles == rows


def test_key_sets_are_told_apart_by_keys_and_threshold():
    assert KeySet.of([key(2).public, key(1).public], 1) == key_set(1, 2)
    prints = {key_set(1).fingerprint, key_set(1, 2).fingerprint, key_set(1, 2, threshold=2).fingerprint}
    assert len(prints) == 3
    assert len(key_set(1).words.split()) == 6
