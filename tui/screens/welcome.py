"""What an empty conversation says: who answers, and how it learns."""

from __future__ import annotations

from textual.content import Content

from ..safe_text import one_line
from ..session import Session


def welcome(session: Session) -> Content:
    """Return the greeting of the selected slot."""
    slot = session.slot
    if slot is None:
        return Content.assemble(
            ("Good evening.\n\n", "bold $primary"),
            "The engine is waking up. You can write already; your message waits until it is ready.",
        )
    generation = (
        f"Generation {slot.current} answers." if slot.current else "It has learned nothing yet: the plain base answers."
    )
    return Content.assemble(
        (f"{one_line(slot.title, 60)}\n", "bold $primary"),
        (f"{one_line(slot.description, 300)}\n" if slot.description else ""),
        (f"{generation}\n\n", "$foreground-muted"),
        ("Teach it by correcting it\n", "bold"),
        ("  ctrl+e  ", "bold $accent"), "rewrite a reply the way it should have been\n",
        ("          ", ""), "or say so: “Always begin with Captain.”\n",
        ("  f2      ", "bold $accent"), "read what was noted, approve or dismiss it\n",
        ("  f5      ", "bold $accent"), "study: it learns the lessons, and shows what changed\n",
        ("  f4      ", "bold $accent"), "go back to an earlier generation\n",
        (f"\n{one_line(session.offer, 600)} " if session.offer else "", "$foreground-muted"),
        ("alt+m" if session.offer else "", "bold $accent"),
    )  # fmt: skip
