"""Trying a plugin in a process of its own: ``python -m nightschool.engine.plug.trial HOME``, with it alone chosen.

Loads it, asks all of its hooks, and says that it is done; what is wrong it notes as an engine does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(home: str) -> None:
    """Try, say so, and end whatever threads are left."""
    from ..host.plugins import PluginHost
    from ..paths import Home
    from .items import KINDS
    from .manage import TRIED

    lines = os.dup(1)
    os.dup2(2, 1)  # what a plugin prints goes elsewhere
    host = PluginHost.load(home=Home(Path(home)))
    for hook in KINDS:
        host.collect(hook)
    host.close()
    os.write(lines, TRIED)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
