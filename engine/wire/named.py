"""The servers that a profile's settings name, and their keys.

A key that is given, and not a file of the user's own, lies in a file of the profile that nobody else can read. Order of
writes: the key, then the settings that name its file; when a server is removed, the settings, then the key. So a
process killed in between leaves at most a key that nothing names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...schemas.errors import NotFound, UsageError
from ...schemas.providers import KnownProvider, KnownProviders
from ...schemas.records import Slot
from ..files import storage_errors, write_atomic
from ..paths import Home
from ..settings import LOCAL, ServerSettings, add_server, check_new, read_settings, remove_server
from .client import Client

_LONGEST_KEY = 4096
_KEY = ".key"


def known_providers(home: Home, slots: Iterable[Slot]) -> KnownProviders:
    """Return the servers that the profile names, and who computes there.

    Raises:
        Damaged: If the settings do not read.
    """
    settings, users = read_settings(home), _users(slots)
    return KnownProviders(
        provider=list(settings.provider or (LOCAL,)),
        study_provider=list(settings.study_provider or (LOCAL,)),
        servers=[
            KnownProvider(
                name=name,
                used=name in settings.provider,
                studies=name in settings.study_provider,
                slots=users.get(name, []),
                **server.model_dump(),
            )
            for name, server in settings.servers.items()
        ],
    )


def add_provider(home: Home, name: str, server: ServerSettings, token: str = "") -> None:
    """Name a server in the settings, and keep its key, if one is given.

    Raises:
        UsageError: If name, address or key cannot be used, or there are two keys.
        NotFound: If there is no such key file.
        Damaged, StorageError: If the settings cannot be changed.
    """
    if token and server.key_file:
        raise UsageError("A server has one key; give the key itself or the file that holds it, not both.")
    if server.key_file:
        server = server.model_copy(update={"key_file": str(Path(server.key_file).expanduser().absolute())})
    key = token or read_key(server.key_file)
    Client(server.url, key, plain_http=server.plain_http, carrier=server.carrier)  # says what cannot be used
    check_new(home, name)
    if token:
        path = home.provider_keys / f"{name}{_KEY}"
        server = server.model_copy(update={"key_file": str(path)})
        with storage_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, f"{token}\n")  # readable by its owner alone, as temporary files are
    add_server(home, name, server)


def remove_provider(home: Home, name: str, slots: Iterable[Slot]) -> None:
    """Take a server out of the settings, and its key, if it lies in the profile.

    Raises:
        NotFound: If there is none of this name.
        UsageError: If the profile or a slot computes there.
        Damaged, StorageError: If the settings cannot be changed.
    """
    users = _users(slots).get(name)
    if users:
        raise UsageError(
            f'{", ".join(users)} computes at {name}; run `nightschool slots set {users[0]} --provider ""` first.'
        )
    remove_server(home, name)
    path = home.provider_keys / f"{name}{_KEY}"
    with storage_errors(path):
        path.unlink(missing_ok=True)


def check_named(home: Home, names: Sequence[str]) -> None:
    """Refuse names that the settings do not describe.

    Raises:
        NotFound: If there is one.
    """
    servers = read_settings(home).servers
    for name in names:
        if name != LOCAL and name not in servers:
            raise NotFound(f"There is no provider {name}; `nightschool providers` lists those there are.")


def _users(slots: Iterable[Slot]) -> Mapping[str, list[str]]:
    users: dict[str, list[str]] = {}
    for slot in slots:
        if slot.provider:
            users.setdefault(slot.provider, []).append(slot.name)
    return users


def client_of(server: ServerSettings) -> Client:
    """Return who asks a server.

    Raises:
        UsageError: If its address or its key cannot be used.
        NotFound: If there is no such key file.
    """
    return Client(server.url, read_key(server.key_file), plain_http=server.plain_http, carrier=server.carrier)


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
