"""The profile's settings, ``config.toml``: written by the user's own hand as well, so that only our line is changed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..schemas.errors import Damaged, NotFound, UsageError
from .config_text import Value, with_table, with_value, without_table
from .files import held, storage_errors, write_atomic
from .paths import Home
from .study.recipe import recipe_with

DEFAULT_TRAINER = "tail_lora"

LOCAL = "local"
"""The name of this machine among the providers."""

REMOTE = "remote"
"""The kind of provider that knows the servers of the settings."""

HSP = "hsp"
"""The kind of servers that speak our own protocol."""

_SERVER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEVICE = re.compile(r"(cpu|mps|cuda(:[0-9]{1,3})?)?")


class ServerSettings(BaseModel):
    """A server elsewhere: a table ``[servers.NAME]``.

    Attributes:
        url: ``https://host[:port][/path]``.
        kind: ``hsp``: it speaks HSP/1. Else an engine of others that gives final states alone, as a plugin names it:
            ``vllm``, ``llama.cpp``, ``sglang``; what is said of codecs is not for it.
        key_file: Which holds its key and nothing else; empty: it wants none. The key itself is never a setting.
        codec: How states are written; ``describe`` of the server says which it has.
        zstd: Whether batches may come compressed.
        plain_http: Whether ``http://`` is allowed beyond this machine.
        carrier: Of what is asked for each token: ``auto``, a WebSocket where the server offers one and the extra
            ``socket`` is installed; ``http`` alone; ``socket``, wherever one can be had. Without one HTTP carries it.
        kl_budget: Nats that writing states may cost, measured on this machine: of the codecs within it the one of the
            fewest bits is used in place of ``codec``; None: ``codec``, whatever it costs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    kind: str = Field(default=HSP, pattern=r"^[a-z0-9._-]{1,32}$")
    key_file: str = ""
    codec: str = "bf16"
    zstd: bool = True
    plain_http: bool = False
    carrier: Literal["auto", "http", "socket"] = "auto"
    kl_budget: float | None = Field(default=None, ge=0.0)


class Settings(BaseModel):
    """What a profile is set to.

    Attributes:
        base: What the engine starts with where nobody names another, as ``library.prepare`` takes it; empty: default.
        rollback_when_worse: Whether a slot goes back by itself where its new generation is corrected more often.
        trainer: What makes adapters in a study; a name that a plugin supplies.
        router: What tells where the lessons of a slot apply, fitted in a study and asked in chats; empty: nothing.
        weekly_rebuild: Whether a slot is trained anew from all its lessons once a week, and the better version counts.
        keep_generations: Of how many of its newest generations a slot keeps the files at `slots gc`; None: of all.
        study: Numbers of a study that are not to be Night School's own, by their names in ``engine/study/recipe.py``:
            what is trained on, for how long, and what a candidate must keep to.
        memory: Whether the model is told what users said of themselves, and new facts are noted.
        cut: How many blocks the tail has, whose adapters learn and speak; None: about a quarter of the base. More lets
            adapters of others reach further down, and makes studies longer; a server must offer it.
        device: What computes: ``cpu``, ``mps``, ``cuda``, or with a number ``cuda:1``; empty: the best that has room.
        provider: Where a chat's lower blocks compute: names of servers, the preferred one first, and ``local`` for this
            machine; where one fails the next goes on. Empty: here alone.
        study_provider: Where the lower blocks of a study compute, likewise; empty: here. Who computes there is shown
            what a study learns from, the user's corrections too, so that it is a choice of its own.
        servers: By name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = ""
    rollback_when_worse: bool = False
    trainer: str = DEFAULT_TRAINER
    router: str = ""
    weekly_rebuild: bool = True
    keep_generations: int | None = Field(default=None, ge=1)
    study: dict[str, Any] = {}
    memory: bool = True
    cut: int | None = Field(default=None, ge=1)
    device: str = ""
    provider: tuple[str, ...] = ()
    study_provider: tuple[str, ...] = ()
    servers: dict[str, ServerSettings] = {}

    @field_validator("provider", "study_provider", mode="before")
    @classmethod
    def _one_or_more(cls, provider: object) -> object:
        return (provider,) if isinstance(provider, str) and provider else provider or ()

    @model_validator(mode="after")
    def _all_named(self) -> Self:
        named = (*self.provider, *self.study_provider)
        unknown = [name for name in named if name != LOCAL and name not in self.servers]
        if unknown:
            raise ValueError(f"there is no table [servers.{unknown[0]}]")
        if len(self.provider) > 1 and any(self.final(name) for name in self.provider):
            raise ValueError("an engine that gives final states alone cannot stand in a row with others")
        if any(self.final(name) for name in self.study_provider):
            raise ValueError("a study needs states below the last blocks, which no engine of others gives")
        if LOCAL in self.servers:
            raise ValueError(f"a server cannot be named {LOCAL}, which is this machine")
        return self

    def final(self, name: str) -> bool:
        """Whether it is an engine of others that gives final states alone."""
        return name in self.servers and self.servers[name].kind != HSP

    @field_validator("study")
    @classmethod
    def _of_the_recipe(cls, study: dict[str, Any]) -> dict[str, Any]:
        recipe_with(study)
        return study

    @field_validator("device")
    @classmethod
    def _known(cls, device: str) -> str:
        if not _DEVICE.fullmatch(device):
            raise ValueError(f"{device!r} is none of cpu, mps, cuda, cuda:0, cuda:1 ...")
        return device


def read_settings(home: Home) -> Settings:
    """Return the settings of a profile; without a file, those of a new one.

    Raises:
        Damaged: If the file is not TOML, or says something that is no setting.
    """
    with storage_errors(home.config):
        text = _read(home)
    return _parse(home, text)


def choose_base(home: Home, base: str) -> None:
    """Let the profile start with a base from now on; what else the file says, comments too, stays as it is.

    Raises:
        Damaged: If the file does not read, or says what it says in a way that cannot be changed here.
        StorageError: If it cannot be written.
    """
    with _changing(home) as change:
        change(lambda text: with_value(text, "base", base), {"base": base})


def choose_provider(home: Home, names: Sequence[str], *, studies: bool = False) -> None:
    """Let chats of the profile, or its ``studies``, compute their lower blocks there from now on; none: here.

    Raises:
        NotFound: If one of them is not described.
        UsageError: If one of them gives final states alone, and is not alone or meant for studies.
        Damaged, StorageError: As of :func:`choose_base`.
    """
    chosen = () if tuple(names) == (LOCAL,) else tuple(names)
    what = "study_provider" if studies else "provider"
    with _changing(home) as change:
        settings = read_settings(home)
        for name in chosen:
            if name != LOCAL and name not in settings.servers:
                raise _unknown(name)
            if studies and settings.final(name):
                raise UsageError(f"{name} gives final states alone, and a study needs those below; run it elsewhere.")
            if len(chosen) > 1 and settings.final(name):
                raise UsageError(
                    f"{name} gives final states alone, so it and others cannot go on for each other; name it alone."
                )
        value: Value = chosen[0] if len(chosen) == 1 else chosen
        change(lambda text: with_value(text, what, value), {what: chosen})


def add_server(home: Home, name: str, server: ServerSettings) -> None:
    """Describe a server at the end of the file.

    Raises:
        UsageError, Damaged: As of :func:`check_new`.
        StorageError: If it cannot be written.
    """
    with _changing(home) as change:
        check_new(home, name)
        said = [(key, value) for key, value in server.model_dump(exclude_defaults=True).items() if value is not None]
        changed = {"servers": {**read_settings(home).servers, name: server}}
        change(lambda text: with_table(text, f"servers.{name}", said), changed)


def check_new(home: Home, name: str) -> None:
    """Refuse a name that no new server can have.

    Raises:
        UsageError: If there is one of this name, or it is no name.
        Damaged: If the file does not read.
    """
    if not _SERVER.fullmatch(name) or name == LOCAL:
        raise UsageError(
            f"{name!r} cannot be the name of a provider; take up to 64 letters, digits, dashes and underscores, and "
            f"not {LOCAL!r}, which is this machine."
        )
    if name in read_settings(home).servers:
        raise UsageError(f"There is a provider {name} already; remove it first, or choose another name.")


def remove_server(home: Home, name: str) -> None:
    """Take the description of a server out of the file.

    Raises:
        NotFound: If there is none of this name.
        UsageError: If the profile or its studies compute there.
        Damaged, StorageError: As of :func:`choose_base`.
    """
    with _changing(home) as change:
        settings = read_settings(home)
        if name not in settings.servers:
            raise _unknown(name)
        if name in settings.provider:
            raise UsageError(f"The profile computes at {name}; run `nightschool providers use {LOCAL}` first.")
        if name in settings.study_provider:
            raise UsageError(f"Studies compute at {name}; run `nightschool providers use {LOCAL} --studies` first.")
        left = {other: server for other, server in settings.servers.items() if other != name}
        change(lambda text: without_table(text, f"servers.{name}"), {"servers": left})


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no provider {name}; `nightschool providers add {name} URL` makes one.")


Change = Callable[[Callable[[str], str], Mapping[str, object]], None]


@contextmanager
def _changing(home: Home) -> Iterator[Change]:
    """Give what changes the file, for one process at a time: how its text changes, and which settings differ then."""
    lock = home.config.with_name(f"{home.config.name}.lock")
    with held(lock, f"{home.config} is being changed by another program; try again."):
        yield lambda edit, differing: _change(home, edit, differing)


def _change(home: Home, edit: Callable[[str], str], differing: Mapping[str, object]) -> None:
    before = read_settings(home)
    with storage_errors(home.config):
        changed = edit(_read(home))
    try:
        after = _parse(home, changed)
    except Damaged:
        after = None
    if after != before.model_copy(update=differing):
        what = " and ".join(differing)
        raise Damaged(f"{home.config} cannot be changed without harm; write its {what} by hand.")
    write_atomic(home.config, changed)


def _parse(home: Home, text: str) -> Settings:
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Damaged(f"{home.config} is not TOML ({error}); correct it or remove it.") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise Damaged(f"{home.config} does not read ({name}: {first['msg']}); correct it or remove it.") from error


def _read(home: Home) -> str:
    try:
        return home.config.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise Damaged(f"{home.config} is not text; correct it or remove it.") from error
