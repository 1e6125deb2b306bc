"""Steps over HTTP give the states of the trunk itself, however sessions go back, on, and at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nightschool.engine.base.halves import open_trunk
from nightschool.engine.wire.prefix import prefix_hash
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.plugins.providers.local import LocalProvider
from nightschool.tests.serving import CUT, Refusal, running, tokens
from nightschool.tests.tiny import FAMILIES


@pytest.fixture(params=sorted(FAMILIES), scope="module")
def family(request, folders, tmp_path_factory):
    with running(folders(request.param), tmp_path_factory.mktemp("keys")) as found:
        yield found


def whole(server, sequence):
    return open_trunk(server.base, CUT).sequences([sequence])[0]


def same(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


async def test_it_gives_what_the_local_provider_gives(family):
    local, remote = LocalProvider(family.base).open(CUT), family.client().open()
    first, second = tokens(30, 1), tokens(9, 2)
    for position, new in ((0, first), (30, [1]), (31, [2, 3]), (11, second), (20, [4]), (3, [])):
        expected = await local.extend(position, new)
        found = remote.step(position, new)
        assert len(found) == len(new)
        if new:
            same(found, expected.rows)


def test_many_at_once_give_what_each_gives_alone(family):
    client = family.client()

    def talk(seed):
        session, rows = client.open(), []
        said = tokens(5 + seed, seed)
        rows.append(session.step(0, said))
        for number in range(12):
            new = tokens(1 + (seed + number) % 3, 1000 * seed + number)
            rows.append(session.step(len(said), new))
            said = said + new
        same(torch.cat(rows), whole(family, said))
        return seed

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(talk, range(16))) == list(range(16))
    assert family.service.sessions.busy == 0


def test_a_long_prompt_comes_in_pieces_and_alike(family):
    said = tokens(500, 5)
    session = family.client().open()
    same(session.step(0, said), whole(family, said))
    same(session.step(500, [7]), whole(family, [*said, 7])[-1:])


def test_only_the_rows_that_are_wanted_come(family):
    said = tokens(60, 6)
    session = family.client().open()
    found = session.step(0, said, first=57)
    assert len(found) == 3
    same(found, whole(family, said)[57:])
    assert len(session.step(60, [1], first=61)) == 0


def test_a_retry_gets_the_same_answer_and_appends_nothing(family):
    session = family.client().open()
    session.step(0, tokens(20, 7))
    first = session.step(20, [1, 2])
    again = session.step(20, [1, 2], number=session.number)
    assert torch.equal(first, again)
    same(session.step(22, [3]), whole(family, [*tokens(20, 7), 1, 2, 3])[-1:])


def test_the_number_of_another_step_is_no_retry(server):
    session = server.client().open()
    session.step(0, [1, 2, 3])
    with pytest.raises(Refusal) as refused:
        session.step(3, [4, 5], number=1)
    assert (refused.value.status, refused.value.problem.code) == (409, "conflict")
    session.step(3, [4], number=7)
    with pytest.raises(Refusal) as refused:
        session.step(0, [9], number=6)
    assert refused.value.problem.code == "stale"
    assert refused.value.problem.have == 4


def test_a_conflict_says_what_the_server_has(server):
    session = server.client().open()
    session.step(0, [1, 2, 3])
    for how in ({"position": 5, "new": [1]}, {"position": 2, "new": [1], "hash_": "0" * 32}):
        with pytest.raises(Refusal) as refused:
            session.step(**how)
        assert (refused.value.problem.have, refused.value.problem.hash) == (3, prefix_hash([1, 2, 3]))
    assert len(session.step(3, [4])) == 1


def test_a_lost_session_is_told_and_begun_anew(server):
    client = server.client()
    session = client.open()
    session.step(0, [1, 2, 3])
    session.close()
    session.close()
    with pytest.raises(Refusal) as refused:
        session.step(3, [4])
    assert (refused.value.status, refused.value.problem.code) == (404, "unknown_session")


def test_what_does_not_fit_is_refused_and_changes_nothing(server):
    session = server.client().open()
    session.step(0, [1, 2, 3])
    context = server.base.card.context
    for new, code, limit in (
        (tokens(context), "too_long", context),
        ([server.base.card.vocabulary], "bad_request", None),
    ):
        with pytest.raises(Refusal) as refused:
            session.step(3, new)
        assert (refused.value.problem.code, refused.value.problem.limit) == (code, limit)
    for first in (2, 5):
        with pytest.raises(Refusal, match="bad_request"):
            session.step(3, [4], first=first)
    assert len(session.step(3, [4])) == 1


def test_what_is_not_served_is_refused(server):
    client = server.client()
    for fields, code in (
        ({"fingerprint": "0" * 64}, "wrong_base"),
        ({"cut": 3}, "not_offered"),
        ({"codec": "mp3"}, "not_offered"),
    ):
        with pytest.raises(Refusal) as refused:
            client.open(**fields)
        assert refused.value.problem.code == code


def test_whole_sequences_are_captured(family):
    batch = [tokens(length, length) for length in (30, 1, 17, 300, 8)]
    for found, sequence in zip(family.client().capture(batch), batch, strict=True):
        same(found, whole(family, sequence))
    assert family.service.sessions.borrowed == 0


def test_several_cuts_are_served_by_one_trunk(folders, tmp_path):
    with running(folders("llama"), tmp_path, cuts=(0, 1, 4)) as server:
        client = server.client()
        assert client.describe().cuts == [0, 1, 4]
        sessions = {cut: client.open(cut) for cut in (0, 1, 4)}
        for cut, session in sessions.items():
            expected = open_trunk(server.base, cut).sequences([tokens(40, 3)])[0]
            same(session.step(0, tokens(40, 3)), expected)


@pytest.mark.parametrize("codec", ["bf16", "i8h64"])
def test_states_come_in_the_codec_that_was_asked_for(server, codec):
    said = tokens(40, 8)
    found = server.client().open(codec=codec, zstd=True).step(0, said)
    difference = (found - whole(server, said)).abs().max()
    assert 0 < difference < 0.1


def test_describe_says_what_is_served(server):
    said = server.client().describe()
    assert said.base.fingerprint == server.base.card.fingerprint
    assert said.base.tensors_hash == server.base.card.tensors_hash
    assert (said.cuts, said.compute.numbers) == ([CUT], "fp32")
    assert said.limits.step_tokens == Allowance().step_tokens
    assert said.verbs == ["step", "capture", "stream", "tail", "socket"]
