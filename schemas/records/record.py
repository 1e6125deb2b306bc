"""What every record is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

LAST_MOMENT = 32_503_680_000.0
"""The year 3000: a time beyond it is none."""


class Record(BaseModel):
    """An immutable record; unknown fields are refused, so that a newer profile is never half-read."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
