"""The checks of each kind, and running one on the items of a plugin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..engine.host.plugins import PluginHost
from ..engine.plug.items import KINDS

NAME = "the plugin"


@dataclass(frozen=True)
class Check:
    """One thing that every item of a kind must do."""

    hook: str
    look: Callable[[Any], None]

    def __call__(self, plugin: object) -> None:
        """Check all items that a plugin (a module, or an object with ``@hookimpl`` functions) supplies.

        Raises:
            AssertionError: If one does not do it, or fails in a way that Night School would count as a fault.
        """
        host, items = _asked(plugin, self.hook)
        for item in items:
            self.look(item)
            assert not host.problems, f"{item.name}: {host.problems[0].text}"

    def __str__(self) -> str:
        """Return its name, for a test's id."""
        return self.look.__name__


def suite(kind: str) -> list[Check]:
    """Return the checks of a kind of item: ``detector``, ``rewriter``, ``trainer``, ``gate``, ``merge`` and so on."""
    from . import words

    hook = hook_of(kind)
    looks: dict[str, list[Callable[[Any], None]]] = dict(words.LOOKS)
    if hook not in looks:
        from . import weights

        looks |= weights.LOOKS
    return [Check(hook, look) for look in (is_called_as_it_should, *looks.get(hook, []))]


def items_of(plugin: object, kind: str) -> list[Any]:
    """Return the items of a kind that a plugin supplies, as Night School would use them."""
    return _asked(plugin, hook_of(kind))[1]


def hook_of(kind: str) -> str:
    """Return the hook of a kind of item."""
    hook = f"nightschool_{kind}s"
    assert hook in KINDS, f"there is no kind {kind}; there is {', '.join(name[12:-1] for name in KINDS)}"
    return hook


def is_called_as_it_should(item: Any) -> None:
    """Its name is a word that can be typed and stored."""
    assert item.name == item.name.strip() and len(item.name) <= 64, f"{item.name!r} is no name that can be typed"
    assert item.name.isprintable(), f"{item.name!r} holds what cannot be printed"


def _asked(plugin: object, hook: str) -> tuple[PluginHost, list[Any]]:
    host = PluginHost()
    host.add(NAME, plugin)
    items = host.collect(hook)
    assert not host.problems, host.problems[0].text
    assert items, f"the plugin supplies nothing through {hook}"
    return host, items
