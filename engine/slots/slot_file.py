"""What the file of a slot holds, and how a slot may be called."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...schemas.errors import Damaged, NotFound, UsageError
from ...schemas.records import Slot
from ..files import storage_errors

LONGEST_NAME = 40
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class SlotFile(BaseModel):
    """What ``slot.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    title: str
    description: str = ""
    system_prompt: str = ""
    temperature: float = 0.0
    base: str = ""
    blend: dict[str, float] = Field(default_factory=dict)
    provider: str = ""
    created: float
    archived: float | None = None
    deleted: float | None = None
    formerly: str | None = None
    pinned: list[int] = Field(default_factory=list)

    def slot(self, name: str, current: int) -> Slot:
        """Return the slot of this name, of which generation ``current`` answers."""
        said = self.model_dump(include=Slot.model_fields.keys() & SlotFile.model_fields.keys())
        return Slot(name=name, current=current, **said)


def read_slot_file(file: Path, name: str) -> SlotFile:
    """Return what the file of a slot of this name says.

    Raises:
        NotFound: If there is none.
        Damaged: If it does not read back.
    """
    with storage_errors(file):
        try:
            return SlotFile.model_validate_json(file.read_bytes())
        except FileNotFoundError as error:
            raise NotFound(f"There is no slot named {name}; list the slots to see which there are.") from error
        except ValidationError as error:
            raise Damaged(
                f"The settings of slot {name} do not read back; correct {file}, or move it away and create the slot's "
                "settings anew."
            ) from error


def check_name(name: str) -> None:
    """Refuse what cannot name a slot.

    Raises:
        UsageError: Then.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:60]!r} cannot name a slot; use up to {LONGEST_NAME} of a-z, 0-9 and hyphens, not a hyphen first."
        )


def name_from(title: str) -> str:
    """Return the name that a title suggests; empty if it has no letter of a to z and no figure."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_NAME].strip("-")


def one_line(title: str) -> str:
    """Return a title without control characters and line breaks.

    Raises:
        UsageError: If nothing is left of it.
    """
    cleaned = " ".join(re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", title).split())
    if not cleaned:
        raise UsageError("A slot needs a title with at least one visible character; give one.")
    return cleaned
