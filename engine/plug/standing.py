"""Whether a plugin may be loaded: from what is installed and what was decided, and from what this start lets in."""

from __future__ import annotations

import os

from ...schemas.plugins import Decision, PluginState
from .found import Package, normal

CHOOSE = "NIGHTSCHOOL_LOAD_PLUGINS"
"""Which of the trusted plugins are loaded, comma-separated; empty: none; unset: all."""
TURNED_OFF = "You turned it off."
LEFT_OUT = f"This start leaves it out ({CHOOSE} or --no-plugins)."


def standing(package: Package, decision: Decision | None) -> tuple[PluginState, str]:
    """Return how an installed plugin stands before it is loaded, and why it is not loaded; TRUSTED: it is."""
    if decision is None:
        reason = f"Its code never ran; `nightschool plugins trust {package.name}` lets it."
        return PluginState.UNTRUSTED, reason
    if decision.sha256 != package.sha256:
        return PluginState.UNTRUSTED, (
            f"It has changed since you trusted {decision.version} (it is {package.version} now); "
            f"`nightschool plugins trust {package.name}` lets it run again."
        )
    if not decision.enabled:
        return PluginState.BLOCKED, decision.reason or TURNED_OFF
    if package.unfit:
        return PluginState.INCOMPATIBLE, package.unfit
    return PluginState.TRUSTED, ""


def let_in(package: Package) -> bool:
    """Whether the environment of this process lets a plugin in."""
    chosen = os.environ.get(CHOOSE)
    if chosen is None:
        return True
    names = {normal(name) for name in chosen.split(",")}
    return package.name in names or any(normal(point.name) in names for point in package.points)
