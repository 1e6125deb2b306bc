"""The process a base is fetched in: ``python -m nightschool.engine.host.pull_child PROFILE SPEC`` (see ``child``)."""

from __future__ import annotations

import sys
from pathlib import Path

from ..child import Tell, be_child
from ..paths import Home


def main(profile: str, spec: str) -> int:
    """Prepare one base and return the exit code."""

    def work(tell: Tell) -> str:
        from ..base.library import prepare
        from ..threads import use_all_cores

        use_all_cores()
        return str(prepare(spec, Home(Path(profile)), lambda stage, share: tell({"stage": stage, "fraction": share})))

    return be_child(work)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
