"""The line of a slot's generations: what a rollback counts as, and what a step back from a generation goes to."""

from __future__ import annotations

from collections.abc import Callable

from ...schemas.records import Version

Find = Callable[[int], Version]
"""Gives the generation of a number."""


def effective(version: Version, find: Find) -> Version:
    """Return the generation that a chain of rollbacks ends at."""
    while version.restores is not None:
        version = find(version.restores)
    return version


def before(version: Version, find: Find) -> Version | None:
    """Return what the state of a generation was made from; None: it is the plain base.

    Where that was learned on another base, which is how a slot that was taught elsewhere began there, it is what came
    before, down to the plain base: nothing of another base could answer.
    """
    version = effective(version, find)
    found = version
    while found.parent is not None:
        found = effective(find(found.parent), find)
        if found.adapter_sha256 is None or found.base == version.base:
            return found
    return None
