"""How a kind of provider announces itself to the engine: the items of the ``nightschool_providers`` hook."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .provider import Provider

if TYPE_CHECKING:
    from ...schemas.providers import Examined
    from ..settings import ServerSettings
    from .library import LoadedBase


@dataclass(frozen=True)
class ProviderKind:
    """A named way to get states.

    Attributes:
        name: What the configuration calls it, e.g. ``local``.
        open: From a loaded base (which the caller's tail shares) to a provider of its states.
        named: The same at servers that the settings name, the preferred one first, for a slot that computes elsewhere
            than the profile; None: this kind knows no servers.
        examine: Measures a server against a base at a cut (None: the usual one); None as of ``named``.
    """

    name: str
    open: Callable[[LoadedBase], Provider]
    named: Callable[[LoadedBase, Sequence[str]], Provider] | None = None
    examine: Callable[[LoadedBase, ServerSettings, int | None], Awaitable[Examined]] | None = None


@dataclass(frozen=True)
class FinalKind:
    """An engine of others that gives final states (cut 0) alone, at a server that the settings name.

    Attributes:
        name: The ``kind`` of such a server in the settings, e.g. ``vllm``.
        open: From a loaded base and a server to a provider of its final states.
        examine: Measures a server against a base; the cut may be None or 0.
        normed: Whether its states are expected to come after the final norm; the probe decides.
    """

    name: str
    open: Callable[[LoadedBase, ServerSettings], Provider]
    examine: Callable[[LoadedBase, ServerSettings, int | None], Awaitable[Examined]]
    normed: bool = True
