"""Opening a profile: one engine at a time, then its database, its slots and the plugins. Quick, and without a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from filelock import BaseFileLock, FileLock, Timeout

from ...schemas.errors import Locked
from ...schemas.messages import EngineStatus
from ..files import storage_errors
from ..paths import Home
from ..records import Records
from ..slots.revoked import Revoked
from ..slots.store import SlotStore
from .model_thread import ModelThread
from .plugins import PluginHost
from .relearning import turn_slots
from .rooms import Rooms, Tell

LOCK_SECONDS = 3.0
"""How long an engine waits for the one before it, which may still be finishing what it writes."""


@dataclass
class Profile:
    """An open profile; closing it lets the next engine in."""

    rooms: Rooms
    lock: BaseFileLock

    def close(self) -> None:
        """Close the database and let go of the profile."""
        self.rooms.plugins.close()
        self.rooms.records.close()
        self.lock.release()


def open_profile(
    home: Home,
    model: str,
    *,
    broadcast: Tell,
    status: Callable[[], EngineStatus],
    tell_status: Callable[[EngineStatus], None],
) -> Profile:
    """Open a profile for the one engine that may write it. Blocks; for a thread.

    Args:
        home: The profile; its folder is created.
        model: The base, as ``library.prepare`` takes it. It is not loaded here.
        broadcast: Tells everybody.
        status: How far the engine is.
        tell_status: Called in the loop that starts the model, with each stage of its waking.

    Raises:
        Locked: If another engine has it.
        NightSchoolError: If anything of it does not open.
    """
    with storage_errors(home.root):
        home.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home.lock, timeout=LOCK_SECONDS, thread_local=False, preserve_lock_file=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise Locked(
                f"Another Night School uses the profile {home.root}; close that one, or set NIGHTSCHOOL_HOME to "
                "another folder."
            ) from error
    try:
        plugins = PluginHost.load(home=home)
        store = SlotStore(home.slots, Revoked(home.trust))
        store.ensure_defaults()

        def told(status: EngineStatus) -> None:
            if status.state == "ready" and status.base is not None:
                turn_slots(rooms, status.base.fingerprint)  # before anybody asks what answers
            tell_status(status)

        thread = ModelThread(home, model, plugins, told)
        records = Records(home.database)
        # A database that was lost or is older: what a generation has learned must not be taken for a new lesson.
        records.number_lessons_after(store.latest_lesson())
        rooms = Rooms(home, records, store, plugins, thread, broadcast, status)
    except BaseException:
        lock.release()
        raise
    return Profile(rooms, lock)
