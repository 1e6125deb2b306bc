"""``python -m nightschool`` is the command ``nightschool``."""

from .tui.cli import main

main()
