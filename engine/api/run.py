"""``nightschool api``: the slots of a profile, spoken to by other programs until somebody says stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import EngineError
from ..paths import Home
from ..wire.server.allowance import Allowance
from ..wire.server.journal import Journal
from ..wire.server.keys import KeyRing, add_key, list_keys
from ..wire.server.listening import check_host, is_loopback, quieten, url_of, uvicorn_config
from ..wire.server.patient import PatientServer
from .service import Link, Service
from .web import make_app

FIRST_KEY = "first"
"""Name of the key that is made where there is none."""
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Options:
    """Where to listen; port 0: any that is free."""

    host: str = "127.0.0.1"
    port: int = 8766


@dataclass(frozen=True)
class Listening:
    """Where the endpoint is. ``key``: the one that was made for it just now; empty: there was one already."""

    base_url: str
    key: str


async def serve(
    home: Home, link: Link, options: Options, journal: Journal, listening: Callable[[Listening], None]
) -> None:
    """Serve until SIGINT or SIGTERM; ``listening`` is called once it can be asked. ``link`` is to an engine that runs.

    Raises:
        UsageError: If it would listen to others without keys.
        StorageError: If the key cannot be stored.
        EngineError: If nothing can listen there.
    """
    check_host(options.host, home.api_keys, "api")
    here = is_loopback(options.host)
    service = Service(link, memory=here, lost=lambda: journal.write("engine_lost"))
    hosts = {*_HERE, options.host.lower()} if here else None
    key = first_key(home.api_keys)
    app = make_app(service, KeyRing(home.api_keys, needed=True), journal, hosts)

    def ready(port: int) -> None:
        listening(Listening(f"{url_of(options.host, port)}/v1", key))

    quieten(journal)
    server = PatientServer(uvicorn_config(app, options.host, options.port), service, ready)
    try:
        await server.serve()
    except SystemExit as error:  # how uvicorn says that it cannot listen
        raise EngineError(
            f"Nothing can listen at {options.host}:{options.port}; another program may, so choose another --port."
        ) from error
    journal.write("stopped")


def first_key(path: Path) -> str:
    """Make a key where there is none, and return it; empty: there is one, and nobody knows it any more.

    Raises:
        StorageError: If it cannot be stored.
    """
    return "" if list_keys(path) else add_key(path, FIRST_KEY, Allowance())
