"""A short list of bases that are worth having, as data: what each is, needs and is good for.

Anything else of a supported family can be used too; the list only saves looking for it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from ...schemas.models import CatalogBase

DEFAULT = "default"
"""The base that comes with Night School."""
_FILE = Path(__file__).with_name("catalog.json")


@cache
def catalogue() -> tuple[CatalogBase, ...]:
    """Return the list, in the order in which it is shown."""
    return TypeAdapter(tuple[CatalogBase, ...]).validate_json(_FILE.read_bytes())


def source_of(spec: str) -> str:
    """Return what a name of the catalogue stands for; empty is the default; anything else, as it was given."""
    if not spec:
        return DEFAULT
    return next((row.source for row in catalogue() if row.name == spec.casefold()), spec)
