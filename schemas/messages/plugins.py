"""Plugins: what is asked of them, and what is decided about them. Answered without a base."""

from __future__ import annotations

from pydantic import Field

from ..plugins import PluginList, PluginRow
from .request import Request


class ListPlugins(Request[PluginList]):
    """The plugins of others: installed, or trusted before and gone."""

    method = "plugins.list"


class TrustPlugin(Request[PluginRow]):
    """Let the code of an installed plugin run, as it is now; it is tried in a process of its own, then loaded."""

    method = "plugins.trust"
    name: str


class EnablePlugin(Request[PluginRow]):
    """Turn a trusted plugin on; it is tried in a process of its own, then loaded."""

    method = "plugins.enable"
    name: str


class DisablePlugin(Request[PluginRow]):
    """Turn a plugin off: nothing of it is asked any more."""

    method = "plugins.disable"
    name: str


class RunPluginCommand(Request[str]):
    """Do what a plugin's command does and return what it says.

    ``slot`` and ``conversation`` say where it was asked for; empty and None: nowhere in particular.
    """

    method = "plugins.run"
    command: str
    arguments: list[str] = Field(default_factory=list)
    slot: str = ""
    conversation: int | None = None
