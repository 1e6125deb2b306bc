"""Importing a plugin of somebody else, so that one that hangs, exits or takes the process with it is survived."""

from __future__ import annotations

import faulthandler
import os
import threading
from importlib import metadata
from typing import Any

from .calling import GRACE, Overrun
from .marks import LOADING, Mark, Marker

IMPORT_SECONDS = "NIGHTSCHOOL_PLUGIN_IMPORT_SECONDS"
"""How long an import may take; unset: ten seconds."""


def import_seconds() -> float:
    """Return how long an import may take."""
    told = os.environ.get(IMPORT_SECONDS, "")
    return float(told) if told.replace(".", "", 1).isdecimal() else 10.0


def import_point(point: metadata.EntryPoint, plugin: str, marker: Marker | None) -> Any:
    """Return what an entry point names. Whatever the import raises comes through.

    With a marker the process says in its mark what it loads, and is ended where the import neither ends nor lets
    anybody else run: the next one finds the mark.

    Raises:
        Overrun: If it takes too long; its thread is left behind.
    """
    seconds = import_seconds()
    if marker is None:
        return _in_a_thread(point, seconds)
    with marker.doing(Mark(plugin, LOADING)):
        faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=2)
        try:
            return _in_a_thread(point, seconds)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _in_a_thread(point: metadata.EntryPoint, seconds: float) -> Any:
    found: list[Any] = []
    raised: list[BaseException] = []

    def load() -> None:
        try:
            found.append(point.load())
        except BaseException as error:  # noqa: BLE001 (it is raised again where the import was asked for)
            raised.append(error)

    thread = threading.Thread(target=load, name=f"import {point.value}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Overrun(f"Its import took longer than {seconds:g} s.")
    if raised:
        raise raised[0]
    return found[0]
