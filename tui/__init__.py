"""All that a person sees in a terminal: the command line and the full-screen app."""

import os

# Twice as often as Textual would: a key that comes while something is drawn waits for up to two of these. Nothing is
# drawn where nothing has changed. It is read when Textual is imported.
os.environ.setdefault("TEXTUAL_FPS", "120")
