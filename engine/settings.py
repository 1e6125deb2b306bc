"""The profile's settings, ``config.toml``: written by the user's own hand as well, so that only our line is changed."""

from __future__ import annotations

import json
import re
import tomllib

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ..schemas.errors import Damaged
from .files import storage_errors, write_atomic
from .paths import Home

DEFAULT_TRAINER = "tail_lora"

_TABLE = re.compile(r"^\s*\[", re.MULTILINE)
_BASE = re.compile(r"^[ \t]*(base|\"base\"|'base')[ \t]*=.*\n?", re.MULTILINE)

_DEVICE = re.compile(r"(cpu|mps|cuda(:[0-9]{1,3})?)?")


class Settings(BaseModel):
    """What a profile is set to.

    Attributes:
        base: What the engine starts with where nobody names another, as ``library.prepare`` takes it; empty: default.
        rollback_when_worse: Whether a slot goes back by itself where its new generation is corrected more often.
        trainer: What makes adapters in a study; a name that a plugin supplies.
        router: What tells where the lessons of a slot apply, fitted in a study and asked in chats; empty: nothing.
        device: What computes: ``cpu``, ``mps``, ``cuda``, or with a number ``cuda:1``; empty: the best that has room.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = ""
    rollback_when_worse: bool = False
    trainer: str = DEFAULT_TRAINER
    router: str = ""
    device: str = ""

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
