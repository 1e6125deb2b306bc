"""The process a tail is fetched in: ``python -m nightschool.engine.host.tail_child PROFILE WANTED`` (see ``child``)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..child import Tell, be_child
from ..paths import Home
from ..settings import ServerSettings
from ..wire.tail_asked import Wanted

if TYPE_CHECKING:
    from ..base.library import LoadedBase


def main(profile: str, said: str) -> int:
    """Fetch one tail and return the exit code; ``said`` is a ``Wanted`` in JSON."""

    def work(tell: Tell) -> dict[str, Any]:
        from ..threads import use_all_cores
        from ..wire.tail_pull import pull_tail
        from .elsewhere import Elsewhere
        from .plugins import PluginHost

        fields = json.loads(said)
        wanted = Wanted(**{**fields, "server": ServerSettings(**fields["server"])})
        kinds = PluginHost.load().collect("nightschool_providers")
        use_all_cores()

        async def prove(base: LoadedBase) -> None:
            await Elsewhere(base, base.cut, kinds).examine(wanted.server, base.cut)

        def told(stage: str, share: float | None) -> None:
            tell({"stage": stage, "fraction": share})

        pulled = asyncio.run(pull_tail(wanted, Home(Path(profile)), told, prove))
        return {**dataclasses.asdict(pulled), "folder": str(pulled.folder)}

    return be_child(work)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
