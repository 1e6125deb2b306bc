"""The hooks: what a plugin can supply (DESIGN 3.5). Built-ins and third parties use the same ones.

A plugin is any module or object with functions marked ``@hookimpl``. Each hook returns a list, so that one plugin can
supply several; the protocols that the items must meet stand where the engine uses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pluggy

if TYPE_CHECKING:
    from ..base.supply import FinalKind, ProviderKind
    from ..exchange.contracts import Importer
    from ..slots.merging import MergeStrategy
    from ..study.contracts import Detector, Gate, Rewriter, Router, Trainer

PROJECT = "nightschool"
HOOK_API_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

T = TypeVar("T")


class Hooks:
    """Every hook with its signature; ``docs/plugins.md`` lists the same, and a test compares them."""

    @hookspec
    def nightschool_providers(self) -> list[ProviderKind | FinalKind]:
        """Supply kinds of providers: a name and a function that opens one for a prepared base."""
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_detectors(self) -> list[Detector]:
        """Supply correction detectors: from a turn and the user's next words to findings."""
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_rewriters(self) -> list[Rewriter]:
        """Supply rewriters: what an edit does to a reply, inferred, applied, checked and said in words."""
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_trainers(self) -> list[Trainer]:
        """Supply trainers: from examples and cached states to an adapter."""
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_routers(self) -> list[Router]:
        """Supply routers: from trunk states of a question to whether any lesson of a slot applies there."""
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_gates(self) -> list[Gate]:
        """Supply gates: measured yes-or-no conditions on a candidate."""
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_importers(self) -> list[Importer]:
        """Supply importers: from the file of another chat to conversations."""
        raise AssertionError("a specification is never called")

    @hookspec
    def nightschool_merges(self) -> list[MergeStrategy]:
        """Supply merge strategies: from several adapters and their weights to one."""
        raise AssertionError("a specification is never called")
