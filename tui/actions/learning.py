"""What was noted, what is learned, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...schemas.errors import NightSchoolError, NotFound, UsageError

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen


def can_undo(screen: ChatScreen) -> bool:
    """Something can be taken back, and the key is not needed for writing."""
    return bool(screen.session.undos) and not screen.editing and not (screen.prompt.has_focus and screen.prompt.text)


async def undo(screen: ChatScreen) -> None:
    """Take the last step back; one that may still be taken back another time stays."""
    if screen.session.undos:
        step = screen.session.undos.pop()
        with screen.errors_told():
            try:
                await step.act()
            except (NotFound, UsageError):
                raise
            except NightSchoolError:
                screen.session.undos.append(step)
                raise
            screen.tell(f"Taken back: {step.label}.")
        screen.changed()


def lessons(screen: ChatScreen) -> None:
    """Open the lessons of the slot."""
    from ..screens.lessons import LessonsScreen

    if screen.session.slot is not None:
        screen.app.push_screen(LessonsScreen(screen.link, screen.session), screen.after_learning)


def memory(screen: ChatScreen) -> None:
    """Open what is known of the user."""
    from ..screens.memory import MemoryScreen

    screen.app.push_screen(MemoryScreen(screen.link, screen.session.slot_name))


def study(screen: ChatScreen) -> None:
    """Open the study of the slot."""
    from ..screens.study import StudyScreen

    if screen.session.slot is not None:
        screen.app.push_screen(StudyScreen(screen.session), screen.after_learning)


def quality(screen: ChatScreen) -> None:
    """Show how good the generations of the slot were."""
    from ..screens.quality import QualityScreen

    if screen.session.slot is not None:
        screen.app.push_screen(QualityScreen(screen.link, screen.session.slot))


def versions(screen: ChatScreen) -> None:
    """Open the generations of the slot."""
    from ..screens.versions import VersionsScreen

    if screen.session.slot is not None:
        screen.app.push_screen(VersionsScreen(screen.link, screen.session.slot), screen.after_learning)
