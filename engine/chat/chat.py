"""Conversations of the engine: tokens already read stay in the caches, the tail speaks with the slot's adapter.

One conversation holds a provider session (the trunk's cache), the states it gave, and the tail's cache. A new turn is
the old text plus a little: only the little is computed. Changing the adapter (another version, another slot) leaves the
trunk's work as it is and sends the kept states through the tail again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...schemas.messages import Sampling
from ...schemas.records import Finish
from ..base.cache import crop
from ..base.halves import Cache, Tail, is_lean, open_tail
from ..base.lean.stream import LeanCache
from ..base.library import LoadedBase
from ..base.numbers import Numbers
from ..base.provider import Keepable, Provider, Session
from ..slots.blend import Voice, folders_of, voice_name, without
from ..slots.voices import Voices
from .detokenize import Detokenizer
from .drafts import Drafts
from .prompt import Turn, encode, fit
from .routing import Routing, asked_tokens
from .sampler import Sampler
from .shelf import Kept, Shelf

if TYPE_CHECKING:
    from ..study.contracts import Router

__all__ = ["Chat", "Reply", "Turn"]

_KEPT = 4  # conversations whose caches stay in memory
_CHUNK = 512  # tokens of a long prompt between two looks at ``cancelled``


@dataclass(frozen=True)
class Reply:
    """What the model said, why it stopped, and in how many tokens."""

    text: str
    finish: Finish
    tokens: int


@dataclass
class _Stream:
    """What is held for one conversation; everything covers the same ``tokens``."""

    session: Session
    cache: Cache
    voice: str
    tokens: list[int] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    text: str = ""  # what ``tokens`` says; empty if not known


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
        routers: Sequence[Router] = (),
    ) -> None:
        """Prepare.

        Args:
            base: What answers.
            provider: Of its states.
            cut: Blocks in the tail.
            shelf: The folder for what long conversations have read; None: it is not kept.
            routers: What may tell where an adapter's lessons apply; elsewhere the plain base answers.
        """
        self._base = base
        self._provider = provider
        self._cut = cut
        self._tail: Tail = open_tail(base, cut)
        self._voices = Voices(self._tail)
        self._streams: OrderedDict[int, _Stream] = OrderedDict()
        name = f"{base.card.fingerprint} {base.numbers} {cut}"
        self._routers = routers
        self._routings: dict[Path, Routing | None] = {}
        self._shelf = Shelf(shelf, name) if shelf is not None else None
        # A stock cache may not be able to forget, and a wrong guess must be forgotten. In fp32 two tokens at once cost
        # twice as much as one on a CPU, so a guess could only lose.
        self._drafting = is_lean(base) and base.numbers is not Numbers.FP32
        self.computed = 0  # tokens that went through the trunk, for benchmarks and tests

    async def reply(
        self,
        conversation: int,
        turns: Sequence[Turn],
        *,
        system: str,
        adapter: Voice,
        sampling: Sampling,
        on_text: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> Reply:
        """Answer the last turn.

        Args:
            conversation: Names the caches to go on from.
            turns: The whole history; the last is the user's.
            system: The slot's system prompt; empty: the base's own.
            adapter: Folder of the version's adapter, or a blend of several; None: the plain base.
            sampling: Temperature None counts as 0.
            on_text: Called with each piece of text, whole characters only.
            cancelled: Asked before each token.

        Raises:
            PromptTooLong: If the last message does not fit the context.
            Damaged, BaseMismatch: If the adapter cannot be used.
        """
        room = max(1, min(sampling.max_tokens, self._base.card.context // 4))
        text = fit(self._base, turns, system, room)
        routings = self._routings_of(adapter)
        with torch.inference_mode():
            stream = await self._stream(conversation)
            try:
                asked = _Asked(text, self._tokens(stream, text))
                if routings:
                    states = await self._heard(stream, asked.tokens)
                    asked = replace(asked, states=states)
                    place = asked_tokens(self._base, text, turns[-1].text)
                    adapter = without(adapter, {f for f, one in routings.items() if not one.applies(states, place)})
                self._speak_with(adapter, stream)
                return await self._answer(stream, asked, sampling, on_text, cancelled)
            except BaseException:
                await self.forget(conversation)  # its caches may cover different tokens now
                raise

    async def forget(self, conversation: int) -> None:
        """Drop what is held for a conversation, as after its history was changed. Unknown ones are ignored."""
        stream = self._streams.pop(conversation, None)
        if stream is not None:
            await stream.session.close()
        if self._shelf is not None:
            self._shelf.drop(conversation)

    async def close(self) -> None:
        """Put away what is held, for the next start."""
        while self._streams:
            await self._put_away(*self._streams.popitem())

    # -- one answer ---------------------------------------------------------------------------------------------------

    async def _answer(
        self,
        stream: _Stream,
        asked: _Asked,
        sampling: Sampling,
        on_text: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> Reply:
        hidden = await self._read(stream, asked, cancelled)
        if hidden is None:
            return Reply("", Finish.CANCELLED, 0)
        sampler, detokenizer = Sampler(sampling), Detokenizer(self._base.tokenizer)
        ends = frozenset(self._base.card.end_of_turn)
        drafts = Drafts(stream.tokens)
        guessed: list[int] = []  # tokens at the end of the stream that are not said yet
        right = 0  # how many of them came true
        finish, count, said = Finish.LENGTH, 0, len(stream.tokens)
        while count < sampling.max_tokens and said < self._base.card.context:
            if cancelled():
                finish = Finish.CANCELLED
                break
            token = sampler.choose(self._tail.head(hidden[right]), stream.tokens[:said])
            if token in ends:
                finish = Finish.STOP
                break
            count, said = count + 1, said + 1
            piece = detokenizer.feed(token)
            if piece:
                on_text(piece)
            drafts.add(token)
            if right < len(guessed) and guessed[right] == token:
                right += 1
                continue
            self._cut_back(stream, said - 1)
            drafts.judge(right, len(guessed))
            room = min(sampling.max_tokens - count - 1, self._base.card.context - said) if self._drafting else 0
            guessed, right = drafts.guess(room), 0
            hidden = await self._extend(stream, [token, *guessed])
        self._cut_back(stream, said)
        rest = detokenizer.flush()
        if rest:
            on_text(rest)
        # The tokens are kept as the reading of this text only if it reads so again: a fresh start says the same then.
        same = encode(self._base, detokenizer.text) == stream.tokens[len(stream.tokens) - count :]
        stream.text = asked.text + detokenizer.text if same else ""
        return Reply(detokenizer.text, finish, count)

    def _tokens(self, stream: _Stream, text: str) -> list[int]:
        """Return the tokens of ``text``, with those that the stream has read already as it read them."""
        if stream.text and text.startswith(stream.text):
            return stream.tokens + encode(self._base, text[len(stream.text) :])
        return encode(self._base, text)

    async def _heard(self, stream: _Stream, tokens: list[int]) -> Tensor:
        """Return the trunk's states of ``tokens``, ``(T, d)``; the stream stays where it is."""
        same = _common(stream.tokens, tokens[:-1])
        rows = [torch.cat(stream.states)[:same]] if same else []
        for start in range(same, len(tokens), _CHUNK):
            given = await stream.session.extend(start, tokens[start : start + _CHUNK])
            rows.append(given.rows.to(self._tail.device))
        return torch.cat(rows)

    async def _read(self, stream: _Stream, asked: _Asked, cancelled: Callable[[], bool]) -> Tensor | None:
        """Bring the stream to what is asked and return the row after its last token, ``(1, d)``; None if cancelled."""
        tokens, states = asked.tokens, asked.states
        same = _common(stream.tokens, tokens[:-1])  # the last one is always computed: its row is wanted
        self._cut_back(stream, same)
        stream.text = ""
        hidden: Tensor | None = None
        for start in range(same, len(tokens), _CHUNK):
            if cancelled():
                return None
            known = states[start : start + _CHUNK] if states is not None else None
            hidden = await self._extend(stream, tokens[start : start + _CHUNK], known)
        stream.text = asked.text
        return hidden[-1:] if hidden is not None else None

    async def _extend(self, stream: _Stream, tokens: list[int], states: Tensor | None = None) -> Tensor:
        """Append tokens and return their rows after the final norm, ``(T, d)``; ``states``: where they are known."""
        if states is None:
            states = (await stream.session.extend(len(stream.tokens), tokens)).rows.to(self._tail.device)
        hidden = self._tail.extend(states[None], stream.cache)[0]
        stream.tokens += tokens
        stream.states.append(states)
        self.computed += len(tokens)
        return hidden

    # -- caches -------------------------------------------------------------------------------------------------------

    async def _stream(self, conversation: int) -> _Stream:
        stream = self._streams.get(conversation)
        if stream is None:
            stream = self._taken(conversation) or _Stream(self._provider.open(self._cut), self._tail.new_cache(), "")
            self._streams[conversation] = stream
            while len(self._streams) > _KEPT:
                await self._put_away(*self._streams.popitem(last=False))
        self._streams.move_to_end(conversation)
        return stream

    async def _put_away(self, conversation: int, stream: _Stream) -> None:
        cache = stream.cache
        if self._shelf is not None and isinstance(stream.session, Keepable) and isinstance(cache, LeanCache):
            await stream.session.extend(len(stream.tokens), [])  # without guesses that did not come true
            held = stream.session.held(), cache.held()
            kept = Kept(stream.tokens, stream.text, stream.voice, torch.cat(stream.states), *held)
            self._shelf.put(conversation, kept)
        await stream.session.close()

    def _taken(self, conversation: int) -> _Stream | None:
        """Return the stream of a conversation that was put away."""
        session = self._provider.open(self._cut)
        empty = self._tail.new_cache()
        if self._shelf is None or not isinstance(session, Keepable) or not isinstance(empty, LeanCache):
            return None
        kept = self._shelf.take(conversation)
        if kept is None:
            return None
        session.restore(list(kept.tokens), kept.trunk)
        cache = LeanCache.of(empty.layers, len(kept.tokens), kept.tail, self._tail.device)
        return _Stream(session, cache, kept.voice, list(kept.tokens), [kept.states.to(self._tail.device)], kept.text)

    def _fill(self, stream: _Stream) -> None:
        """Send the kept states through the tail into its empty cache."""
        if stream.states:
            rows = torch.cat(stream.states)
            stream.states = [rows]
            for start in range(0, len(rows), _CHUNK):
                self._tail.extend(rows[None, start : start + _CHUNK], stream.cache)

    def _cut_back(self, stream: _Stream, length: int) -> None:
        """Forget the last tokens; the provider hears of it with the next ones."""
        surplus = len(stream.tokens) - length
        if not surplus:
            return
        del stream.tokens[length:]
        while surplus:
            last = stream.states.pop()
            if len(last) > surplus:
                stream.states.append(last[:-surplus])
            surplus -= min(surplus, len(last))
        if not crop(stream.cache, length):
            stream.cache = self._tail.new_cache()
            self._fill(stream)

    def _speak_with(self, adapter: Voice, stream: _Stream) -> None:
        """Give the tail a voice, and let the stream have been read with it."""
        self._voices.speak_with(adapter)
        voice = voice_name(adapter)
        if stream.voice != voice:
            stream.voice, stream.cache = voice, self._tail.new_cache()
            self._fill(stream)

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


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common beginning."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
