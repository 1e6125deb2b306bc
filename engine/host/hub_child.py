"""The process that speaks with the hub: ``python -m nightschool.engine.host.hub_child fetch|publish JSON``.

It needs no torch, and what its libraries print goes to a log; killed at any moment it leaves what the next one goes on
from.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ..child import Tell, be_child
from ..hub import fetch as fetching
from ..hub.publish import Upload, upload


def main(verb: str, said: str) -> int:
    """Do one thing and return the exit code."""
    given: dict[str, Any] = json.loads(said)

    def work(tell: Tell) -> dict[str, Any]:
        def told(stage: str, fraction: float | None) -> None:
            tell({"stage": stage, "fraction": fraction})

        if verb == "publish":
            commit, url = upload(Upload(**{**given, "folder": Path(given["folder"])}), told)
            return {"commit": commit, "url": url}
        told(f"Asking the hub for {given['spec']}", None)
        found = fetching.resolve(fetching.parse(given["spec"]))
        folder = fetching.fetch(found, Path(given["folder"]), told)
        size = sum(file.size for file in found.files)
        facts = {"base": found.base, "licence": found.licence, "bytes": size}
        return {"source": found.source, "folder": str(folder), **facts}

    return be_child(work)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
