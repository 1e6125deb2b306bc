"""The app's own colours: a night sky, and a lamp."""

from __future__ import annotations

from textual.theme import Theme

NIGHT = Theme(
    name="night-school",
    primary="#8fa8ff",
    secondary="#b79cf2",
    accent="#f0c674",
    success="#8fd6a0",
    warning="#f0c674",
    error="#f28b8b",
    foreground="#dfe3f2",
    background="#0e1120",
    surface="#141829",
    panel="#20263f",
    boost="#1a1f35",
    dark=True,
    variables={"footer-key-foreground": "#f0c674", "input-selection-background": "#8fa8ff 35%"},
)
