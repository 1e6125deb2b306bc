"""What a list of bases says: the catalogue and the profile's own, side by side. Knows no files and no machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...schemas.errors import NightSchoolError
from ...schemas.models import CatalogBase, Fit, KnownBase, KnownBases
from ..base.catalog import DEFAULT, catalogue, source_of
from ..base.installed import Installed
from ..base.memory import at_4_bits, fit, largest_that_fits, on_a_device


@dataclass(frozen=True)
class Machine:
    """The memory of this machine, in bytes; ``device``: what a base may take of another device's that computes here."""

    total: int
    available: int
    device: int = 0

    def fit(self, parameters: int, head: int) -> Fit:
        """Return whether a base of this size fits: well, if the device has room for it; else as the machine has."""
        if on_a_device(parameters, head) <= self.device:
            return Fit.WELL
        return fit(at_4_bits(parameters, head), total=self.total, available=self.available)


@dataclass(frozen=True)
class Use:
    """Which bases are needed.

    Attributes:
        chosen: What the profile starts with, as a user may write it.
        loaded: Folder of the one that answers now.
        learned: Slots whose current generation was learned on a base, by its fingerprint.
    """

    chosen: str
    loaded: Path | None
    learned: Mapping[str, Sequence[str]]


def list_bases(found: Sequence[Installed], partial: Mapping[str, int], use: Use, machine: Machine) -> KnownBases:
    """Return the catalogue in its order, each base with what is on this machine of it, then the others.

    Args:
        found: The prepared bases.
        partial: Bytes of broken pulls, by the name of the model.
        use: Which are needed.
        machine: Where they must fit.
    """
    rest, partial = list(found), dict(partial)
    rows = []
    for known in catalogue():
        mine = next((one for one in rest if one.answers_to(known.source)), None)
        row = _known(known, machine).model_copy(
            update={"partial": partial.pop(known.title, 0), "chosen": source_of(use.chosen) == known.source}
        )
        if mine is not None:
            rest.remove(mine)
            row = row.model_copy(update=_here(mine, use))
        rows.append(row)
    rows += [_own(one, use, machine) for one in rest]
    rows += [KnownBase(spec=name, title=name, source="", partial=size) for name, size in partial.items()]
    return KnownBases(
        rows=rows,
        memory_total=machine.total,
        memory_available=machine.available,
        suggestion=_suggestion(rows[0], machine, alone=use.loaded is None),
    )


def _known(known: CatalogBase, machine: Machine) -> KnownBase:
    memory = at_4_bits(known.parameters, known.head)
    return KnownBase(
        spec=known.name,
        title=known.title,
        source=known.source,
        family=known.family,
        parameters=known.parameters,
        download=known.download,
        memory=memory,
        fit=machine.fit(known.parameters, known.head),
        licence=known.licence,
        languages=known.languages,
        gated=known.gated,
        note=known.note,
    )


def _own(one: Installed, use: Use, machine: Machine) -> KnownBase:
    """Return the row of a base that no catalogue knows."""
    row = KnownBase(spec=one.spec, title=one.card.name if one.card else one.folder.name, source=one.spec)
    if one.card is None:
        return row.model_copy(update=_here(one, use))
    facts = {"family": one.card.family, "licence": one.card.licence, **_here(one, use)}
    try:
        parameters, head = one.sizes()
    except NightSchoolError as error:
        facts["trouble"] = str(error)
    else:
        memory = at_4_bits(parameters, head)
        facts |= {"parameters": parameters, "memory": memory, "fit": machine.fit(parameters, head)}
    return row.model_copy(update=facts)


def _here(one: Installed, use: Use) -> dict[str, object]:
    """Return what is to be said of a base because it is on this machine."""
    fingerprint = one.card.fingerprint if one.card else ""
    return {
        "installed": True,
        "size": one.size,
        "folder": str(one.folder),
        "fingerprint": fingerprint,
        "upper": one.upper,
        "chosen": one.answers_to(use.chosen),
        "loaded": one.folder == use.loaded,
        "slots": list(use.learned.get(fingerprint, ())),
        "trouble": one.trouble,
        **({"source": one.spec} if one.spec != DEFAULT else {}),
    }


def _suggestion(default: KnownBase, machine: Machine, *, alone: bool) -> str:
    """Return the name of what a bigger base would be, while the default one is in use."""
    if not (default.loaded or (alone and default.chosen)):
        return ""
    offers = [row for row in catalogue() if not (row.gated or row.thinks or row.licence.startswith("LicenseRef-"))]
    best = largest_that_fits(offers, machine.fit)
    return best.name if best is not None and best.name != DEFAULT else ""
