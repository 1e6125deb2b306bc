"""Fuzz a reader with its coverage as the guide: ``python -m nightschool.tests.fuzz bundle -runs=1000000``.

It needs ``pip install -e '.[fuzz]'`` (atheris, for Linux). What follows the name of a target goes to libFuzzer
(``-max_total_time=600``, ``-jobs=2``, a folder that keeps what was found); ``-runs`` without a number goes on for ever.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

READERS = ["nightschool.marketplace", "nightschool.engine.wire", "nightschool.schemas"]


def main() -> None:
    """Run until libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=READERS):
        from .targets import TARGETS
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"Name what is to be fuzzed: {', '.join(TARGETS)}.")
    target = TARGETS[sys.argv[1]]
    seeds = Path(tempfile.mkdtemp(prefix="nightschool-seeds-"))
    for number, data in enumerate(target.seeds()):
        (seeds / f"{number:03}").write_bytes(data)
    # libFuzzer writes what it finds into the first folder it is given, and reads the others.
    folders = [argument for argument in sys.argv[2:] if not argument.startswith("-")]
    atheris.Setup([*sys.argv[:1], *sys.argv[2:], *([] if folders else [tempfile.mkdtemp()]), str(seeds)], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
