"""Bases, and servers that compute them elsewhere."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..models import KnownBase, KnownBases, PulledTail
from ..providers import Examined, KnownProvider, KnownProviders
from .request import Request

# -- bases: answered also while one loads, and where none could be loaded ----------------------------------------------


class ListModels(Request[KnownBases]):
    """The bases of the catalogue and those on this machine."""

    method = "models.list"


class PullModel(Request[KnownBase]):
    """Fetch a base and make it ready. Told: ``model.pull``. ``spec`` as ``library.prepare`` takes it."""

    method = "models.pull"
    spec: str


class PullTail(Request[PulledTail]):
    """Fetch the last blocks of the base that a server has, final norm, head and tokenizer. Told: ``model.pull``.

    ``server`` is a name of the settings or an address; ``cut`` the number of blocks, None: the usual one. ``hub`` is
    ``owner/name[@revision]`` to take the weights from there, ``fingerprint`` what the base must be, or how that begins.
    The profile starts with it where ``use`` says so, or nothing else is here; ``use`` lets it compute there, too.
    """

    method = "tails.pull"
    server: str
    cut: int | None = Field(default=None, ge=0)
    hub: str = ""
    fingerprint: str = Field(default="", pattern=r"^[0-9a-f]{0,64}$")
    key_file: str = ""
    plain_http: bool = False
    use: bool = False


class CancelPull(Request[bool]):
    """Stop fetching; what is there stays for the next pull. False: nothing was being fetched."""

    method = "models.cancel"


class UseModel(Request[KnownBase]):
    """Let the profile start with a base that is on this machine; the engine that runs keeps its own."""

    method = "models.use"
    spec: str


class RemoveModel(Request[int]):
    """Remove a base, or what a broken pull left of it, from the disk; returns the bytes that came free.

    ``force`` removes it also where the profile starts with it (then with the default again) or slots learned on it.
    """

    method = "models.remove"
    spec: str
    force: bool = False


# -- servers that compute elsewhere: answered without a base, but for ``providers.test`` -------------------------------


class ListProviders(Request[KnownProviders]):
    """The servers that the profile names, and where it computes."""

    method = "providers.list"


class AddProvider(Request[KnownProvider]):
    """Name a server. Nothing is asked of it.

    ``token`` is its key, which is kept in a file that nobody else can read; ``key_file`` a file that has it already.
    ``kind`` is ``hsp`` for a server of ours, or names an engine of others. ``carrier`` of what is asked for each token:
    ``auto``, ``http`` or ``socket``.
    """

    method = "providers.add"
    name: str
    url: str
    kind: str = Field(default="hsp", pattern=r"^[a-z0-9._-]{1,32}$")
    token: str = Field(default="", repr=False)
    key_file: str = ""
    codec: str = "bf16"
    zstd: bool = True
    plain_http: bool = False
    carrier: Literal["auto", "http", "socket"] = "auto"
    kl_budget: float | None = Field(default=None, ge=0.0)


class RemoveProvider(Request[None]):
    """Forget a server, and its key if it is kept here; refused while the profile or a slot computes there."""

    method = "providers.remove"
    name: str


class UseProviders(Request[KnownProviders]):
    """Let chats compute there from the next reply on: servers, the preferred one first, or ``local``.

    ``studies``: let studies, from the next one on; the servers are shown what is learned from.
    """

    method = "providers.use"
    names: list[str]
    studies: bool = False


class ExamineProvider(Request[Examined]):
    """Say how far a server is, whether it computes the base that is loaded, and what its codecs cost.

    ``server`` is a name, or an address that needs no key, of a server of this ``kind``; ``cut`` None: the usual one.
    """

    method = "providers.test"
    server: str
    kind: str = Field(default="hsp", pattern=r"^[a-z0-9._-]{1,32}$")
    cut: int | None = Field(default=None, ge=0)
