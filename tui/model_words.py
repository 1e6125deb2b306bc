"""Bases in words: sizes, whether they fit, how they stand. The command line and the app say the same."""

from __future__ import annotations

from ..schemas.models import Fit, KnownBase, KnownBases

FITS = {Fit.WELL: "fits well", Fit.TIGHTLY: "tight", Fit.NOT: "too large"}


def size(count: int | None) -> str:
    """Return a number of bytes as people say it; a dash where it is not known."""
    if count is None:
        return "-"
    if count >= 100_000_000:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1_000_000 else f"{count / 1e3:.0f} kB"


def title(row: KnownBase) -> str:
    """Return what a base is called, and how much of it is here where not all is."""
    return row.title if row.upper is None else f"{row.title}, last {row.upper} blocks"


def parameters(row: KnownBase) -> str:
    """Return how many parameters a base has: ``135M``, ``7.6B``."""
    if row.parameters is None:
        return "-"
    return f"{row.parameters / 1e9:.1f}B" if row.parameters >= 1e9 else f"{row.parameters / 1e6:.0f}M"


def fits(row: KnownBase) -> str:
    """Return whether it fits this machine; a dash where that is not known."""
    return FITS[row.fit] if row.fit is not None else "-"


def licence(row: KnownBase) -> str:
    """Return the licence by its own name."""
    return row.licence.removeprefix("LicenseRef-") or "-"


def download(row: KnownBase) -> str:
    """Return what fetching it would cost."""
    return "comes along" if row.download == 0 else size(row.download)


def standing(row: KnownBase) -> str:
    """Return what of it is on this machine."""
    if row.trouble:
        return "spoilt"
    if row.loaded or row.chosen:
        return "in use" if row.loaded else "chosen"
    if row.installed:
        return "here"
    return f"begun, {size(row.partial)}" if row.partial else ""


def suggestion(bases: KnownBases) -> str:
    """Return one kind sentence about what a bigger base would give on this machine; empty: nothing is to be said."""
    row = next((row for row in bases.rows if bases.suggestion and row.spec == bases.suggestion), None)
    if row is None:
        return ""
    note = row.note[0].lower() + row.note[1:].rstrip(".")
    return (
        f"The default model is small, for the first minutes. This machine ({size(bases.memory_total)} of memory) holds "
        f"{row.title} as well: {note}. It takes a download of {download(row)} and answers more slowly."
    )
