"""The servers that a profile's settings name, and their keys."""

from __future__ import annotations

from pathlib import Path

from ...schemas.errors import NotFound, UsageError
from ..files import storage_errors
from ..settings import ServerSettings
from .client import Client

_LONGEST_KEY = 4096


def client_of(server: ServerSettings) -> Client:
    """Return who asks a server.

    Raises:
        UsageError: If its address or its key cannot be used.
        NotFound: If there is no such key file.
    """
    return Client(server.url, read_key(server.key_file), plain_http=server.plain_http)


def read_key(file: str) -> str:
    """Return the key in a file; empty where no file is named.

    Raises:
        NotFound: If there is no such file.
        UsageError: If it holds more than a key.
        StorageError: If it cannot be read.
    """
    if not file:
        return ""
    path = Path(file).expanduser()
    with storage_errors(path):
        try:
            with path.open(encoding="utf-8") as stream:
                key = stream.read(_LONGEST_KEY + 1).strip()
        except FileNotFoundError as error:
            raise NotFound(f"There is no key file {path}; write the server's key into it.") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} holds no key, but other data; write the server's key into it.") from error
    if not key or len(key) > _LONGEST_KEY or len(key.split()) != 1:
        raise UsageError(f"{path} must hold the server's key and nothing else.")
    return key
