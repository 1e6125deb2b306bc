"""The profile's settings, ``config.toml``: written by the user's own hand as well, so that only our line is changed."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..schemas.errors import Damaged
from .files import storage_errors, write_atomic
from .paths import Home

DEFAULT_TRAINER = "tail_lora"

_TABLE = re.compile(r"^\s*\[", re.MULTILINE)
_BASE = re.compile(r"^[ \t]*(base|\"base\"|'base')[ \t]*=.*\n?", re.MULTILINE)

LOCAL = "local"
"""The name of this machine among the providers."""

_DEVICE = re.compile(r"(cpu|mps|cuda(:[0-9]{1,3})?)?")


class ServerSettings(BaseModel):
    """A server elsewhere that speaks HSP/1: a table ``[servers.NAME]``.

    Attributes:
        url: ``https://host[:port][/path]``.
        key_file: Which holds its key and nothing else; empty: it wants none. The key itself is never a setting.
        codec: How states are written; ``describe`` of the server says which it has.
        zstd: Whether batches may come compressed.
        plain_http: Whether ``http://`` is allowed beyond this machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    key_file: str = ""
    codec: str = "bf16"
    zstd: bool = True
    plain_http: bool = False


class Settings(BaseModel):
    """What a profile is set to.

    Attributes:
        base: What the engine starts with where nobody names another, as ``library.prepare`` takes it; empty: default.
        rollback_when_worse: Whether a slot goes back by itself where its new generation is corrected more often.
        trainer: What makes adapters in a study; a name that a plugin supplies.
        router: What tells where the lessons of a slot apply, fitted in a study and asked in chats; empty: nothing.
        weekly_rebuild: Whether a slot is trained anew from all its lessons once a week, and the better version counts.
        keep_generations: Of how many of its newest generations a slot keeps the files at `slots gc`; None: of all.
        memory: Whether the model is told what users said of themselves, and new facts are noted.
        device: What computes: ``cpu``, ``mps``, ``cuda``, or with a number ``cuda:1``; empty: the best that has room.
        provider: Where a chat's lower blocks compute: names of servers, the preferred one first, and ``local`` for this
            machine; where one fails the next goes on. Empty: here alone.
        servers: By name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = ""
    rollback_when_worse: bool = False
    trainer: str = DEFAULT_TRAINER
    router: str = ""
    weekly_rebuild: bool = True
    keep_generations: int | None = Field(default=None, ge=1)
    memory: bool = True
    device: str = ""
    provider: tuple[str, ...] = ()
    servers: dict[str, ServerSettings] = {}

    @field_validator("provider", mode="before")
    @classmethod
    def _one_or_more(cls, provider: object) -> object:
        return (provider,) if isinstance(provider, str) and provider else provider or ()

    @model_validator(mode="after")
    def _all_named(self) -> Self:
        unknown = [name for name in self.provider if name != LOCAL and name not in self.servers]
        if unknown:
            raise ValueError(f"there is no table [servers.{unknown[0]}]")
        if LOCAL in self.servers:
            raise ValueError(f"a server cannot be named {LOCAL}, which is this machine")
        return self

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
    before = read_settings(home)
    with storage_errors(home.config):
        home.root.mkdir(parents=True, exist_ok=True)
        text = _read(home)
    table = _TABLE.search(text)
    head, rest = (text[: table.start()], text[table.start() :]) if table else (text, "")
    line = f"base = {_quoted(base)}\n" if base else ""
    changed = line + _BASE.sub("", head) + rest
    if _parse(home, changed) != before.model_copy(update={"base": base}):
        raise Damaged(f"{home.config} cannot be changed without harm; write `base = ...` into it by hand.")
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


def _quoted(text: str) -> str:
    """Return a TOML string: one of JSON with everything escaped that TOML does not allow."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
