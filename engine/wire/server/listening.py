"""How uvicorn listens for our servers: at which addresses, how patiently, and where its own words go."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from pathlib import Path

import uvicorn

from ....schemas.errors import UsageError
from .journal import Journal
from .keys import list_keys
from .patient import PatientProtocol

_CONNECTIONS = 1024
_KEEP_ALIVE = 120  # seconds


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(host: str, keys: Path, command: str) -> None:
    """Refuse to listen to other machines where everybody could ask.

    Args:
        host: To listen at.
        keys: The file of those that may ask.
        command: That listens, whose keys they are.

    Raises:
        UsageError: If others can reach it and there is no key.
    """
    if not is_loopback(host) and not list_keys(keys):
        raise UsageError(
            f"{host} can be reached from other machines, and there is no key yet; add one with "
            f"`nightschool {command} keys add NAME`, or listen at 127.0.0.1."
        )


def url_of(host: str, port: int) -> str:
    """Return where a server listens."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def uvicorn_config(app: object, host: str, port: int, *, message_bytes: int = 0) -> uvicorn.Config:
    """Return how uvicorn runs an application of ours: without words of its own, and with little patience.

    ``message_bytes``: how long a message of a WebSocket may be; 0: there are none.
    """
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=host,
        port=port,
        loop="asyncio",
        http=PatientProtocol,
        ws=_sockets() if message_bytes else "none",
        ws_max_size=message_bytes,
        ws_ping_interval=None,  # who is silent for long is closed by what serves it
        ws_per_message_deflate=False,  # rows are compressed where that pays, and a small message may become a large one
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16 << 10,
    )


def _sockets() -> type[asyncio.Protocol]:
    from .patient_socket import PatientSocket

    return PatientSocket


def quieten(journal: Journal) -> None:
    """Let uvicorn say what goes wrong in the server's own journal, and nothing elsewhere."""
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [_ToJournal(journal)], False


class _ToJournal(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.write("uvicorn", level=record.levelname.lower(), message=record.getMessage())
