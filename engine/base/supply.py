"""How a kind of provider announces itself to the engine: the item of the ``nightschool_providers`` hook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .provider import Provider

if TYPE_CHECKING:
    from .library import LoadedBase


@dataclass(frozen=True)
class ProviderKind:
    """A named way to get states.

    Attributes:
        name: What the configuration calls it, e.g. ``local``.
        open: From a loaded base (which the caller's tail shares) to a provider of its states.
    """

    name: str
    open: Callable[[LoadedBase], Provider]
