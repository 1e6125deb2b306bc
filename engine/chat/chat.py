"""Conversations of the engine: tokens already read stay in the caches, the tail speaks with the slot's adapter.

One conversation holds a provider session (the trunk's cache), the states it gave, and the tail's cache. A new turn is
the old text plus a little: only the little is computed. Changing the adapter (another version, another slot) leaves the
trunk's work as it is and sends the kept states through the tail again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...schemas.messages import Sampling
from ...schemas.records import Finish
from ..base.halves import Tail, is_lean, open_head, open_tail
from ..base.lean.stream import LeanCache
from ..base.library import LoadedBase
from ..base.numbers import Numbers
from ..base.provider import Counting, Keepable, Provider
from ..slots.blend import Voice, folders_of, voice_name, without
from ..slots.voices import Voices
from .detokenize import Detokenizer
from .drawing import Drawing
from .habits import Habits
from .nearest import NOBODYS, common, nearest
from .next_rows import NextRows, Wanted
from .pace import Pace
from .prompt import Turn, encode, fit
from .reading import CHUNK, Reading
from .routing import Routing, asked_tokens
from .sampler import Sampler
from .shelf import Kept, Shelf
from .traffic import Traffic

if TYPE_CHECKING:
    from ..study.contracts import Router

__all__ = ["Chat", "Reply", "Through", "Turn"]

_KEPT = 4  # conversations whose caches stay in memory
_VOICES = 16  # whose habits are known
_NEAR = {Numbers.FP32: 1e-3}
"""Leads of a choice that rows computed several at once may decide otherwise than those computed one by one."""
_NEAR_IN_16_BITS = 0.1


@dataclass(frozen=True)
class Reply:
    """What the model said, why it stopped, in how many tokens, and what that cost on the way to the provider.

    ``asked`` are the tokens of what it answers, ``held`` those of them that were read before.
    """

    text: str
    finish: Finish
    tokens: int
    traffic: Traffic = field(default_factory=Traffic, compare=False)  # how it came, not what it says
    asked: int = field(default=0, compare=False)
    held: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Through:
    """Where states come from.

    Attributes:
        name: Of the provider.
        provider: Who gives them.
        pace: What was learned of how far it shall run ahead.
        normed: None: states at the chat's cut. Else final ones, after the final norm or before it.
    """

    name: str
    provider: Provider
    pace: Pace = field(default_factory=Pace)
    normed: bool | None = None

    @property
    def moved(self) -> int:
        """Bytes that went either way so far; 0 where nobody counts them."""
        return self.provider.moved if isinstance(self.provider, Counting) else 0


@dataclass(frozen=True)
class _Asked:
    """What is to be answered: a whole chat, its tokens, and the trunk's states ``(T, d)`` where they are known."""

    text: str
    tokens: list[int]
    states: Tensor | None = None


class Chat:
    """Answers in conversations of one base, each turn with the adapter it is given. One caller at a time."""

    def __init__(
        self,
        base: LoadedBase,
        provider: Provider,
        cut: int,
        shelf: Path | None = None,
        *,
        normed: bool | None = None,
        routers: Sequence[Router] = (),
        pace: Pace | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare.

        Args:
            base: Whose tail answers.
            provider: Where states come from.
            cut: Number of the tail's blocks.
            shelf: Folder for what long conversations have read; None: it is not kept.
            normed: At cut 0, whether states come after the final norm; None: before it, and adapters may be carried.
            routers: What may tell where an adapter's lessons apply; elsewhere the plain base answers.
            pace: How far the provider shall run ahead; None: what pays is learned.
            clock: Seconds, of a simulated network maybe.
        """
        self._base = base
        self._through = self._usual = Through("", provider, pace or Pace())
        self._cut = cut
        self._tail: Tail = open_tail(base, cut) if normed is None else open_head(base, normed=normed)
        self._voices = Voices(self._tail)
        self._habits: OrderedDict[tuple[str, str], Habits] = OrderedDict()
        self._readings: OrderedDict[int, Reading] = OrderedDict()
        name = f"{base.card.fingerprint} {base.numbers} {cut}"
        self._routers = routers
        self._routings: dict[Path, Routing | None] = {}
        self._shelf = Shelf(shelf, name) if shelf is not None else None
        # A stock cache may not be able to forget, and a wrong guess must be forgotten. In fp32 two tokens at once cost
        # twice as much as one on a CPU, so a guess could only lose.
        self._drafting = is_lean(base) and base.numbers is not Numbers.FP32
        self._clock = clock
        self._near = _NEAR.get(base.numbers, _NEAR_IN_16_BITS)
        self.traffic = Traffic()  # of the reply that is being written, or was last
        self._computed = 0  # by readings that are no longer held

    @property
    def computed(self) -> int:
        """Tokens whose states were asked for so far, for benchmarks and tests."""
        return self._computed + sum(reading.taken for reading in self._readings.values())

    async def reply(
        self,
        conversation: int | None,
        turns: Sequence[Turn],
        *,
        system: str,
        adapter: Voice,
        sampling: Sampling,
        on_text: Callable[[str], None],
        cancelled: Callable[[], bool],
        through: Through | None = None,
    ) -> Reply:
        """Answer the last turn.

        Args:
            conversation: Names the caches to go on from; None: nobody's, those that were read of the same beginning.
                What was read so never goes to the disk.
            turns: The whole history; the last is the user's.
            system: The slot's system prompt; empty: the base's own.
            adapter: Folder of the version's adapter, or a blend of several; None: the plain base.
            sampling: Temperature None counts as 0.
            on_text: Called with each piece of text, whole characters only.
            cancelled: Asked before each token.
            through: Where states come from; None: from the provider that the chat was made with. A conversation that
                was read through another goes on: its states stay, the new provider reads its tokens.

        Raises:
            PromptTooLong: If the last message does not fit the context.
            Damaged, BaseMismatch: If the adapter cannot be used.
        """
        self.traffic, self._through = Traffic(), through or self._usual
        room = max(1, min(sampling.max_tokens, self._base.card.context // 4))
        text = fit(self._base, turns, system, room)
        routings = self._routings_of(adapter)
        if conversation is None:
            conversation = nearest(self._readings, encode(self._base, text))
        with torch.inference_mode():
            reading = await self._reading(conversation)
            try:
                asked = _Asked(text, self._tokens(reading, text))
                if routings:
                    states = await self._heard(reading, asked.tokens)
                    asked = replace(asked, states=states)
                    place = asked_tokens(self._base, text, turns[-1].text)
                    adapter = without(adapter, {f for f, one in routings.items() if not one.applies(states, place)})
                self._speak_with(adapter, reading)
                return await self._answer(reading, asked, sampling, on_text, cancelled)
            except BaseException:
                await self.forget(conversation)  # its caches may cover different tokens now
                raise

    async def forget(self, conversation: int) -> None:
        """Drop what is held for a conversation, as after its history was changed. Unknown ones are ignored."""
        reading = self._readings.pop(conversation, None)
        if reading is not None:
            self._computed += reading.taken
            await reading.session.close()
        if self._shelf is not None:
            self._shelf.drop(conversation)

    async def close(self) -> None:
        """Put away what is held, for the next start."""
        while self._readings:
            await self._put_away(*self._readings.popitem())

    # -- one answer ---------------------------------------------------------------------------------------------------

    async def _answer(
        self,
        reading: Reading,
        asked: _Asked,
        sampling: Sampling,
        on_text: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> Reply:
        sizes = len(asked.tokens), common(reading.tokens, asked.tokens[:-1])
        prompt = await self._read(reading, asked, cancelled)
        if prompt is None:
            return Reply("", Finish.CANCELLED, 0, self.traffic, *sizes)
        sampler, detokenizer = Sampler(sampling), Detokenizer(self._base.tokenizer)
        ends = frozenset(self._base.card.end_of_turn)
        rows = NextRows(
            reading,
            Wanted(sampling, sampler.seed),
            pace=self._through.pace,
            traffic=self.traffic,
            drafting=self._drafting,
            habits=self._habits_of(self._voices.voice),
            reopen=lambda: self._through.provider.open(self._cut),
            clock=self._clock,
        )
        finish, count, length = Finish.LENGTH, 0, len(reading.tokens) + len(prompt)
        try:
            known = asked.states[-len(prompt) :] if asked.states is not None else None
            # One less: an engine of others says a token after each that it reads, and has no place for it at the end.
            room = max(1, min(sampling.max_tokens, self._base.card.context - 1 - length))
            hidden = await rows.begin(prompt, room, known)
            reading.text = asked.text
            self.traffic.read, moved, began = self.traffic.round_trips, self._through.moved, self._clock()
            drawing = Drawing(rows, reading, self._tail, sampler, self.traffic, near=self._near)
            async with aclosing(drawing.tokens(hidden, room)) as drawn:
                async for token in drawn:
                    self.traffic.moved, self.traffic.seconds = self._through.moved - moved, self._clock() - began
                    if cancelled() or token in ends:
                        finish = Finish.STOP if token in ends else Finish.CANCELLED
                        break
                    count += 1
                    piece = detokenizer.feed(token)
                    if piece:
                        on_text(piece)
            reading.cut_back(length + count)
        finally:
            await rows.close()
        rest = detokenizer.flush()
        if rest:
            on_text(rest)
        # The tokens are kept as the reading of this text only if it reads so again: a fresh start says the same then.
        same = encode(self._base, detokenizer.text) == reading.tokens[len(reading.tokens) - count :]
        reading.text = asked.text + detokenizer.text if same else ""
        return Reply(detokenizer.text, finish, count, self.traffic, *sizes)

    def _habits_of(self, voice: Voice) -> Habits:
        """Return what a voice says through this provider, which is told nothing that was said through another.

        Of those that have not spoken for longest it is forgotten.
        """
        key = (self._through.name, voice_name(voice))
        if key not in self._habits:
            self._habits[key] = Habits.of(folders_of(voice))
        found = self._habits[key]
        self._habits.move_to_end(key)
        while len(self._habits) > _VOICES:
            self._habits.popitem(last=False)
        return found

    def _tokens(self, reading: Reading, text: str) -> list[int]:
        """Return the tokens of ``text``, with those that were read already as they were read."""
        if reading.text and text.startswith(reading.text):
            return reading.tokens + encode(self._base, text[len(reading.text) :])
        return encode(self._base, text)

    async def _heard(self, reading: Reading, tokens: list[int]) -> Tensor:
        """Return the trunk's states of ``tokens``, ``(T, d)``; the reading stays where it is."""
        same = common(reading.tokens, tokens[:-1])
        rows = [torch.cat(reading.states)[:same]] if same else []
        for start in range(same, len(tokens), CHUNK):
            self.traffic.round_trips += 1
            given = await reading.session.extend(start, tokens[start : start + CHUNK])
            rows.append(given.rows.to(self._tail.device))
        return torch.cat(rows)

    async def _read(self, reading: Reading, asked: _Asked, cancelled: Callable[[], bool]) -> list[int] | None:
        """Bring the reading near to what is asked; return the tokens left to read, at least one. None: cancelled."""
        tokens, states = asked.tokens, asked.states
        reading.cut_back(common(reading.tokens, tokens[:-1]))  # the last one is always computed: its row is wanted
        reading.text = ""
        while len(tokens) - len(reading.tokens) > (CHUNK if states is None else 1) and not reading.last_only:
            if cancelled():
                return None
            start = len(reading.tokens)
            if states is None:
                self.traffic.round_trips += 1
                await reading.extend(tokens[start : start + CHUNK])
            else:
                stop = min(start + CHUNK, len(tokens) - 1)
                reading.take(tokens[start:stop], states[start:stop])
        return None if cancelled() else tokens[len(reading.tokens) :]

    # -- caches -------------------------------------------------------------------------------------------------------

    async def _reading(self, conversation: int) -> Reading:
        reading, provider = self._readings.get(conversation), self._through.provider
        if reading is not None and reading.provider is not provider:
            await reading.move(provider, self._cut)
        if reading is None:
            reading = self._taken(conversation) or Reading(provider.open(self._cut), self._tail)
            reading.provider = provider
            self._readings[conversation] = reading
            while len(self._readings) > _KEPT:
                await self._put_away(*self._readings.popitem(last=False))
        self._readings.move_to_end(conversation)
        return reading

    async def _put_away(self, conversation: int, reading: Reading) -> None:
        cache = reading.cache
        shelf = None if conversation in NOBODYS or not reading.tokens else self._shelf
        if shelf is not None and isinstance(reading.session, Keepable) and isinstance(cache, LeanCache):
            await reading.session.extend(len(reading.tokens), [])  # without guesses that did not come true
            held = reading.session.held(), cache.held()
            kept = Kept(reading.tokens, reading.text, reading.voice, torch.cat(reading.states), *held)
            shelf.put(conversation, kept)
        self._computed += reading.taken
        await reading.session.close()

    def _taken(self, conversation: int) -> Reading | None:
        """Return the reading of a conversation that was put away."""
        reading = Reading(self._through.provider.open(self._cut), self._tail)
        session, cache = reading.session, reading.cache
        if self._shelf is None or not isinstance(session, Keepable) or not isinstance(cache, LeanCache):
            return None
        kept = self._shelf.take(conversation)
        if kept is None:
            return None
        session.restore(list(kept.tokens), kept.trunk)
        reading.cache = LeanCache.of(cache.layers, len(kept.tokens), kept.tail, self._tail.device)
        reading.voice = kept.voice
        reading.tokens, reading.states = list(kept.tokens), [kept.states.to(self._tail.device)]
        reading.text = kept.text
        return reading

    def _speak_with(self, adapter: Voice, reading: Reading) -> None:
        """Give the tail a voice, and let what was read have been read with it."""
        self._voices.speak_with(adapter)
        voice = voice_name(adapter)
        if reading.voice != voice:
            reading.voice = voice
            reading.read_again()

    def _routings_of(self, adapter: Voice) -> dict[Path, Routing]:
        """Return what tells where an adapter's lessons apply, by folder; one that is not there applies everywhere."""
        found = {}
        for folder in folders_of(adapter):
            if folder not in self._routings:
                self._routings[folder] = Routing.load(folder, self._routers)
            routing = self._routings[folder]
            if routing is not None:
                found[folder] = routing
        return found
