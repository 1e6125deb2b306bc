"""The voices of one tail: adapters that were read stay in memory, so that changing among them reads nothing again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from ..base.halves import Tail
from ..base.lora import Lora, Place
from . import generations
from .adapter import Adapter, Factors, updates_for
from .blend import Blend, Voice
from .factoring import by_place, stacked

_ROOM = 8  # adapters that stay; one of rank 16 takes 5 MB at a hundred million parameters, 80 MB at eight billion

Updates = Mapping[Place, Lora]


class Voices:
    """Makes a tail speak with one voice after another."""

    def __init__(self, tail: Tail, room: int = _ROOM) -> None:
        """Begin with the plain base; ``room``: how many adapters stay in memory."""
        self._tail = tail
        self._room = room
        self._voice: Voice = None
        self._kept: OrderedDict[tuple[Path, object], Updates] = OrderedDict()
        self.read = 0  # adapters read from disk, for benchmarks and tests

    @property
    def voice(self) -> Voice:
        """The one that speaks now."""
        return self._voice

    def speak_with(self, voice: Voice) -> None:
        """Change the voice.

        Raises:
            Damaged, BaseMismatch: If an adapter cannot be used; the tail is plain then.
        """
        if voice == self._voice:
            return
        self._tail.carry({})
        self._voice = None
        if voice is not None:
            self._tail.carry(self._blended(voice) if isinstance(voice, Blend) else self._updates(voice))
        self._voice = voice

    def _updates(self, folder: Path) -> Updates:
        key = (folder, generations.stamp(folder))
        if key not in self._kept:
            self._kept[key] = updates_for(self._tail, Adapter.load(folder))
            self.read += 1
            while len(self._kept) > self._room:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _blended(self, blend: Blend) -> Updates:
        """Return the weighted sum: factors side by side, where the adapters already are."""
        parts = [(_factors(self._updates(folder)), weight) for folder, weight in blend.parts if weight]
        summed = {place: stacked(updates) for place, updates in by_place(parts)}
        return {place: Lora(f.down, f.up) for place, f in summed.items()}


def _factors(updates: Updates) -> Adapter:
    return Adapter({place: Factors(lora.down.detach(), lora.up.detach()) for place, lora in updates.items()})
