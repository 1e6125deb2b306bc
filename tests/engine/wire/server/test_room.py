"""The budget of bytes and the limits of keys hold, whoever asks for how much; keys never share what they said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nightschool.engine.base.halves import open_trunk
from nightschool.engine.wire.server.allowance import Allowance, Meter
from nightschool.tests.serving import CUT, Refusal, running, tokens

MB = 1_000_000


def token_bytes(server):
    return server.service.sessions.needed(CUT, 256) // 256


def held(server):
    """Return how many tokens each open session holds, in order of use."""
    return [len(session.history) for session in server.service.sessions]


def test_who_was_idle_longest_makes_room(folders, tmp_path):
    with running(folders("llama"), tmp_path) as server:
        server.service.sessions.budget = 3 * 256 * token_bytes(server)
        client = server.client()
        first, second, third, fourth = (client.open() for _ in range(4))
        for session in (first, second, third):
            session.step(0, tokens(20))
        first.step(20, [1])  # so the second is idle longest
        fourth.step(0, tokens(20))
        assert held(server) == [0, 20, 21, 20]
        with pytest.raises(Refusal) as refused:
            second.step(20, [1])
        assert (refused.value.problem.code, refused.value.problem.have) == ("conflict", 0)
        second.number = 1
        assert len(second.step(0, [*second.said, 1], first=20)) == 1
        assert server.service.sessions.size <= server.service.sessions.budget


@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
def test_memory_does_not_grow_over_many_sessions(folders, tmp_path, family):
    with running(folders(family), tmp_path, keys={"one": Allowance(sessions=8)}) as server:
        sessions = server.service.sessions
        sessions.budget = 5 * 256 * token_bytes(server)
        client = server.client("one")
        for number in range(60):
            client.open().step(0, tokens(10 + number % 7, number))
            assert sessions.size <= sessions.budget
            assert len(sessions) <= 8
        assert server.service.metrics.evicted._values[()] > 0


def test_what_can_never_fit_is_refused_and_then_all_goes_on(folders, tmp_path):
    with running(folders("llama"), tmp_path) as server:
        server.service.sessions.budget = 300 * token_bytes(server)
        session = server.client().open()
        session.step(0, [1, 2, 3])
        with pytest.raises(Refusal) as refused:
            session.step(3, tokens(400))
        assert (refused.value.status, refused.value.problem.code) == (503, "cache_full")
        assert int(refused.value.headers["retry-after"]) >= 1
        assert len(session.step(3, [4])) == 1


def test_a_key_has_its_own_part_of_the_room(folders, tmp_path):
    each = {"small": Allowance(cache_mb=1), "large": Allowance()}
    with running(folders("llama"), tmp_path, keys=each) as server:
        small, large = server.client("small"), server.client("large")
        kept = large.open()
        kept.step(0, tokens(30))
        for number in range(12):
            small.open().step(0, tokens(100, number))
        own = [session for session in server.service.sessions if session.key == "small"]
        assert sum(session.size for session in own) <= 1 * MB
        assert len(own) == 12
        assert len(kept.step(30, [1])) == 1


def test_sessions_at_once_are_limited(folders, tmp_path):
    with running(folders("llama"), tmp_path, keys={"one": Allowance(sessions=2)}) as server:
        client = server.client("one")
        first, second, third = client.open(), client.open(), client.open()
        assert len(server.service.sessions) == 2
        second.step(0, [1])
        third.step(0, [1])
        with pytest.raises(Refusal, match="unknown_session"):
            first.step(0, [1])


def test_tokens_of_a_step_and_of_a_capture_are_limited(folders, tmp_path):
    allowed = Allowance(step_tokens=10, capture_tokens=20, capture_sequences=3)
    with running(folders("llama"), tmp_path, keys={"one": allowed, "none": Allowance(capture_tokens=0)}) as server:
        client = server.client("one")
        for ask, limit in (
            (lambda: client.open().step(0, tokens(11)), 10),
            (lambda: client.capture([tokens(11), tokens(10)]), 20),
            (lambda: client.capture([[1]] * 4), 3),
        ):
            with pytest.raises(Refusal) as refused:
                ask()
            assert (refused.value.problem.code, refused.value.problem.limit) == ("too_large", limit)
        assert len(client.open().step(0, tokens(10))) == 10
        assert [len(rows) for rows in client.capture([tokens(10), tokens(10)])] == [10, 10]
        with pytest.raises(Refusal, match="not_offered"):
            server.client("none").capture([[1]])
        assert server.client("none").describe().verbs == ["step", "stream", "tail", "socket"]


def test_tokens_a_second_are_limited(folders, tmp_path):
    with running(
        folders("llama"), tmp_path, keys={"slow": Allowance(tokens_a_second=1), "fast": Allowance()}
    ) as server:
        session = server.client("slow").open()
        session.step(0, tokens(40))
        with pytest.raises(Refusal) as refused:
            session.step(40, [1])
        assert (refused.value.status, refused.value.problem.code) == (429, "too_many")
        assert 1 <= refused.value.problem.retry_after <= 31
        server.client("fast").open().step(0, tokens(40))


def test_a_meter_lets_through_what_its_rate_says():
    now = [0.0]
    meter = Meter(5.0, lambda: now[0])
    for _ in range(5):
        assert meter.wait() == 0
        meter.spend(10)
    meter.spend(50)
    assert meter.wait() == pytest.approx(10.0)
    now[0] = 9.5
    assert meter.wait() == pytest.approx(0.5)
    now[0] = 100.0
    assert meter.wait() == 0
    assert Meter(None).wait() == 0


def test_what_a_key_has_said_is_read_once_and_for_that_key_alone(folders, tmp_path):
    said = tokens(200, 1)
    with running(folders("llama"), tmp_path, keys={"one": Allowance(), "two": Allowance()}) as server:
        metrics = server.service.metrics
        expected = open_trunk(server.base, CUT).sequences([[*said, 5, 6]])[0]
        server.client("one").open().step(0, said)
        computed = metrics.tokens._values[("step",)]
        rows = server.client("one").open().step(0, [*said, 5, 6])
        torch.testing.assert_close(rows, expected, atol=1e-4, rtol=1e-4)
        assert metrics.tokens._values[("step",)] - computed == 2
        rows = server.client("two").open().step(0, [*said, 5, 6])
        torch.testing.assert_close(rows, expected, atol=1e-4, rtol=1e-4)
        assert metrics.tokens._values[("step",)] - computed == 2 + 202


@pytest.mark.parametrize("family", ["mistral", "deepseek_v2"])
def test_sharing_gives_what_reading_gives(folders, tmp_path, family):
    """Also where the other session went on, went back, and is at work meanwhile."""
    said = tokens(300, 2)
    with running(folders(family), tmp_path) as server:
        client = server.client()
        other = client.open()
        other.step(0, said)

        def elsewhere(seed):
            new = [*said[: 100 + seed], *tokens(5, seed)]
            return new, client.open().step(0, new)

        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(elsewhere, seed) for seed in range(8)]
            other.step(120, tokens(40, 9))
            for job in waiting:
                new, rows = job.result()
                torch.testing.assert_close(rows, open_trunk(server.base, CUT).sequences([new])[0], atol=1e-4, rtol=1e-4)
        assert server.service.metrics.shared._values[()] > 0


def test_sessions_that_rest_too_long_are_dropped(folders, tmp_path):
    with running(folders("llama"), tmp_path) as server:
        sessions = server.service.sessions
        server.client().open().step(0, [1])
        assert sessions.drop_idle() == 0
        sessions._clock = lambda: 1e9
        assert sessions.drop_idle() == 1
        assert (len(sessions), sessions.size) == (0, 0)
