"""Whatever runs ahead, breaks off or is guessed wrong: the reply is the one of a client that asks for each token."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
import torch

from nightschool.bench.network import Clock, DistantProvider, Link
from nightschool.engine.base.cut import split
from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.size import default_cut
from nightschool.engine.chat import next_rows
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.pace import Pace
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.wire.ahead import RunsAhead
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.errors import RemoteError
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Finish, Role
from nightschool.tests.tiny import save_tiny

CUT = 2
TURNS = [Turn(Role.USER, "Hello")]


def cost(tokens, guessing):
    """Seconds of a server that computes: a pass, and the tail where it guesses."""
    return 0.010 + 0.005 * guessing


def adapter_of(base, folder, strength=0.15):
    """Save a random adapter that changes some of what the tiny base says."""
    generator = torch.Generator().manual_seed(3)
    factors = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * strength)
        for place, f in new_adapter(split(base.model, CUT)[1], 4).factors.items()
    }
    Adapter(factors).save(folder, "tiny")
    return folder


@pytest.fixture(scope="module")
def adapter(tiny_base, tmp_path_factory):
    return adapter_of(tiny_base, tmp_path_factory.mktemp("adapter"))


def one_by_one(base):
    """A client that asks for each token."""
    return Chat(base, LocalProvider(base), CUT, pace=Pace(streams=False, drafts=False))


def streaming(base, round_trip=0.05, **link):
    clock = Clock()
    provider = DistantProvider(base, Link(round_trip, **link), clock, cost=cost)
    return Chat(base, provider, CUT, clock=clock), provider


def ask(
    chat, turns=TURNS, *, conversation=1, adapter=None, cancelled=lambda: False, on_text=lambda text: None, **options
):
    sampling = Sampling(**{"max_tokens": 40, **options})
    return asyncio.run(
        chat.reply(
            conversation, turns, system="", adapter=adapter, sampling=sampling, on_text=on_text, cancelled=cancelled
        )
    )


def said(chat, conversation=1):
    return list(chat._readings[conversation].tokens)


WAYS = [
    {"temperature": 0.0},
    {"temperature": 0.0, "repetition_penalty": 1.3},
    {"temperature": 0.7},
    {"temperature": 1.0, "top_k": 20},
    {"temperature": 1.3, "top_p": 0.9},
    {"temperature": 1.0, "min_p": 0.05, "repetition_penalty": 1.2},
    {"temperature": 2.0},
]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_every_token_is_that_of_a_client_that_asks_for_each(tiny_base, adapter, options):
    """Over many seeds, with an adapter that the server knows nothing of."""
    plain, (ahead, _) = one_by_one(tiny_base), streaming(tiny_base, jitter=0.01)
    trips = tokens = agreed = guessed = 0
    for seed in range(12):
        wanted = ask(plain, conversation=seed, adapter=adapter, seed=seed, **options)
        found = ask(ahead, conversation=seed, adapter=adapter, seed=seed, **options)
        assert (found.text, found.finish) == (wanted.text, wanted.finish)
        assert said(ahead, seed) == said(plain, seed)
        assert found.traffic.near_ties == 0
        trips, tokens = trips + found.traffic.round_trips, tokens + found.traffic.tokens
        agreed, guessed = agreed + found.traffic.agreed, guessed + found.traffic.guessed
        for chat in (plain, ahead):
            asyncio.run(chat.forget(seed))
    assert 0 < agreed < guessed  # both happened: guesses that came true, and corrections
    assert trips < tokens


def test_a_provider_that_guesses_all_is_asked_now_and_then_only(tiny_base):
    plain, (ahead, provider) = one_by_one(tiny_base), streaming(tiny_base)
    wanted, found = ask(plain, max_tokens=60), ask(ahead, max_tokens=60)
    assert found.text == wanted.text
    assert found.traffic.agreement == 1.0
    assert wanted.traffic.round_trips_per_100_tokens > 95
    assert found.traffic.round_trips_per_100_tokens < 12
    assert provider.served.wasted == 0  # nothing was guessed beyond what could be said


def test_what_a_voice_said_before_is_sent_along_and_changes_no_word(tiny_base, adapter, monkeypatch):
    """Over several replies; without its habits the same voice costs more round trips.

    Each is read alone, as it is by a client that asks for each token: several at once would be rounded otherwise.
    """
    extend = RunsAhead.extend
    at_once = set()

    async def watched(self, position, tokens):
        at_once.add(len(tokens) if position else 0)
        return await extend(self, position, tokens)

    monkeypatch.setattr(RunsAhead, "extend", watched)
    trips = {}
    for known in (True, False):
        if not known:
            monkeypatch.setattr("nightschool.engine.chat.habits.Habits.guess", lambda self: [])
        plain, (ahead, _) = one_by_one(tiny_base), streaming(tiny_base)
        found = []
        for number, text in enumerate(["Hello", "Why is that?", "Hello", "Hello", "Why is that?"]):
            wanted, reply = (
                ask(c, [Turn(Role.USER, text)], conversation=number, adapter=adapter) for c in (plain, ahead)
            )
            assert reply.text == wanted.text
            assert said(ahead, number) == said(plain, number)
            found.append(reply.traffic)
        trips[known] = sum(traffic.round_trips for traffic in found)
        assert (sum(traffic.drafted for traffic in found) > 0) is known
        assert all(traffic.agreed <= traffic.guessed for traffic in found)
    assert trips[True] < trips[False]
    assert at_once == {0, 1}


def test_the_second_turn_goes_on_from_what_a_stream_left(tiny_base, adapter):
    plain, (ahead, _) = one_by_one(tiny_base), streaming(tiny_base)
    for chat in (plain, ahead):
        first = ask(chat, adapter=adapter, temperature=1.0, seed=3)
        turns = [*TURNS, Turn(Role.ASSISTANT, first.text), Turn(Role.USER, "And now?")]
        chat.second = ask(chat, turns, adapter=adapter, temperature=1.0, seed=3)
    assert ahead.second.text == plain.second.text
    assert said(ahead) == said(plain)


@pytest.mark.parametrize("looks", range(1, 16, 2))
def test_a_stream_can_be_cancelled_at_any_token(tiny_base, adapter, looks):
    plain, (ahead, _) = one_by_one(tiny_base), streaming(tiny_base)
    replies = []
    for chat in (plain, ahead):
        count = iter(range(100))
        replies.append(ask(chat, adapter=adapter, cancelled=lambda count=count: next(count) >= looks))
        replies.append(ask(chat, [*TURNS, Turn(Role.ASSISTANT, replies[-1].text), Turn(Role.USER, "Go on")]))
    assert replies[0].finish is replies[2].finish is Finish.CANCELLED
    assert [reply.text for reply in replies[:2]] == [reply.text for reply in replies[2:]]


@pytest.mark.parametrize("most", [1, 2, 7])
def test_no_more_is_said_than_may_be(tiny_base, adapter, most):
    plain, (ahead, _) = one_by_one(tiny_base), streaming(tiny_base)
    wanted, found = (ask(chat, adapter=adapter, max_tokens=most) for chat in (plain, ahead))
    assert (found.text, found.tokens, found.finish) == (wanted.text, wanted.tokens, Finish.LENGTH)
    assert said(ahead) == said(plain)


def with_card(base, **changes):
    return dataclasses.replace(base, card=base.card.model_copy(update=changes))


def test_an_end_of_turn_ends_both_sides(tiny_base, adapter):
    """Whatever it is that the model says often is made the end of a turn."""
    spoken = one_by_one(tiny_base)
    ask(spoken, adapter=adapter)
    ends = with_card(tiny_base, end_of_turn=[said(spoken)[-5]])
    plain, (ahead, _) = one_by_one(ends), streaming(ends)
    wanted, found = (ask(chat, adapter=adapter) for chat in (plain, ahead))
    assert (found.text, found.tokens, found.finish) == (wanted.text, wanted.tokens, Finish.STOP)
    assert wanted.tokens < 40
    assert said(ahead) == said(plain)


def test_the_context_ends_both_sides(tiny_base, adapter):
    spoken = one_by_one(tiny_base)
    ask(spoken, adapter=adapter, max_tokens=1)
    short = with_card(tiny_base, context=len(said(spoken)) + 20)
    plain, (ahead, _) = one_by_one(short), streaming(short)
    wanted, found = (ask(chat, adapter=adapter, max_tokens=200) for chat in (plain, ahead))
    assert (found.text, found.finish) == (wanted.text, Finish.LENGTH)
    assert len(said(ahead)) == len(said(plain)) == short.card.context - 1


@pytest.mark.parametrize("broken", [{1}, {2}, {5}, {9}, {5, 6}, {5, 6, 7, 20}], ids=str)
def test_a_line_that_breaks_costs_round_trips_and_no_word(tiny_base, adapter, broken):
    plain, (ahead, _) = one_by_one(tiny_base), streaming(tiny_base, breaks=frozenset(broken))
    wanted, found = (ask(chat, adapter=adapter, temperature=1.0, seed=8) for chat in (plain, ahead))
    assert found.text == wanted.text
    assert said(ahead) == said(plain)
    assert found.traffic.failures >= 1


def test_a_line_that_stays_broken_is_said(tiny_base):
    ahead, _ = streaming(tiny_base, breaks=frozenset(range(6, 100)))
    with pytest.raises(RemoteError):
        ask(ahead)


class Liar(DistantProvider):
    """Sends states for other tokens than were asked for."""

    def open(self, cut):
        session = super().open(cut)
        honest = session.stream

        async def stream(position, tokens, guess):
            async for frame in honest(position, tokens, guess):
                yield dataclasses.replace(frame, position=frame.position + (frame.position > position))

        session.stream = stream
        return session


def test_frames_that_were_not_asked_for_are_not_believed(tiny_base, adapter):
    clock = Clock()
    ahead = Chat(tiny_base, Liar(tiny_base, Link(0.05), clock, cost=cost), CUT, clock=clock)
    wanted, found = (ask(chat, adapter=adapter) for chat in (one_by_one(tiny_base), ahead))
    assert found.text == wanted.text
    assert found.traffic.failures == 2  # then the reply went on without


class Bundling(DistantProvider):
    """Sends several guesses in one frame, as what was received at once may be handed on."""

    def open(self, cut):
        session = super().open(cut)
        single = session.stream

        async def stream(position, tokens, guess):
            held = []
            async for frame in single(position, tokens, guess):
                held.append(frame)
                if len(held) == 3 or frame.guess is None:
                    yield bundle(held)
                    held = []
            if held:
                yield bundle(held)

        session.stream = stream
        return session


def bundle(frames):
    tokens = tuple(token for frame in frames for token in frame.tokens)
    rows = torch.cat([frame.rows for frame in frames])
    return dataclasses.replace(frames[-1], position=frames[0].position, tokens=tokens, rows=rows)


@pytest.mark.parametrize("options", WAYS[:4], ids=str)
def test_several_guesses_at_once_are_read_at_once(tiny_base, adapter, options):
    clock = Clock()
    plain, ahead = one_by_one(tiny_base), Chat(tiny_base, Bundling(tiny_base, Link(0.05), clock, cost=cost), CUT)
    wanted, found = (ask(chat, adapter=adapter, seed=5, **options) for chat in (plain, ahead))
    assert found.text == wanted.text
    assert said(ahead) == said(plain)
    assert found.traffic.wasted > 0
    assert 0 < found.traffic.agreed < found.traffic.guessed


def test_a_distant_provider_that_cannot_stream_reads_several_guesses_a_round_trip(tiny_base, adapter, monkeypatch):
    plain = one_by_one(tiny_base)
    wanted = ask(plain, adapter=adapter)
    truth = said(plain)

    class Knowing(next_rows.Drafts):
        def guess(self, room):
            at = len(self._tokens)
            return [*truth[at : at + 3], 65][:room]

    monkeypatch.setattr(next_rows, "Drafts", Knowing)
    clock = Clock()
    distant = Chat(tiny_base, DistantProvider(tiny_base, Link(0.05), clock, streams=False, cost=cost), CUT, clock=clock)
    found = ask(distant, adapter=adapter)
    assert found.text == wanted.text
    assert said(distant) == truth
    assert found.traffic.round_trips < wanted.traffic.round_trips / 2
    assert found.traffic.drafted > found.traffic.wasted > 0


def test_a_window_that_slides_in_the_tail_is_read_again(tmp_path):
    """Its cache cannot forget, on either side."""
    base = load(save_tiny(tmp_path / "mistral", "mistral"))
    (tmp_path / "adapter").mkdir()
    adapter = adapter_of(base, tmp_path / "adapter")
    plain, (ahead, _) = one_by_one(base), streaming(base)
    wanted, found = (ask(chat, adapter=adapter, temperature=1.0, seed=1) for chat in (plain, ahead))
    assert found.text == wanted.text
    assert 0 < found.traffic.agreed < found.traffic.guessed


def test_time_is_saved_where_the_way_is_long(tiny_base):
    """On the simulated clock: a round trip of 100 ms, a server that takes 15 ms a token."""
    times = []
    for streams in (False, True):
        clock = Clock()
        provider = DistantProvider(tiny_base, Link(0.1), clock, streams=streams, cost=cost)
        chat = Chat(tiny_base, provider, CUT, clock=clock, pace=Pace(streams=streams, drafts=False))
        ask(chat)
        times.append(clock())
    assert times[1] < times[0] / 4


@pytest.mark.model
@pytest.mark.parametrize("numbers", [Numbers.FP32, Numbers.INT4])
def test_the_default_model_says_the_same_streamed(default_base, tmp_path, numbers):
    """With a random adapter that changes about a tenth of the tokens; also where a matrix is rounded to four bits."""
    base = default_base.computing_in(numbers)
    cut = default_cut(base.card.layers)
    generator = torch.Generator().manual_seed(1)
    factors = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.02)
        for place, f in new_adapter(open_tail(base, cut), 8).factors.items()
    }
    Adapter(factors).save(tmp_path, base.card.name)
    clock = Clock()
    plain = Chat(base, LocalProvider(base), cut, pace=Pace(streams=False, drafts=False))
    ahead = Chat(base, DistantProvider(base, Link(0.05), clock, cost=cost), cut, clock=clock)
    turns = [Turn(Role.USER, "How does a rainbow form?")]
    for seed, temperature in enumerate((0.0, 0.7, 1.0)):
        how = {"adapter": tmp_path, "temperature": temperature, "seed": seed, "max_tokens": 24, "conversation": seed}
        wanted, found = ask(plain, turns, **how), ask(ahead, turns, **how)
        assert said(ahead, seed) == said(plain, seed)
        assert found.text == wanted.text
        assert found.traffic.round_trips < wanted.traffic.round_trips / 2
