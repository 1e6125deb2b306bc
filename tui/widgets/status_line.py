"""One line at the bottom: how the engine is, who answers, and how far a study is."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from ..safe_text import one_line
from ..session import Session
from ..traffic_words import traffic_words


def bar(fraction: float, width: int) -> Content:
    """Return a progress bar of ``width`` cells."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return Content.assemble(("━" * full, "$primary"), ("━" * (width - full), "$panel-lighten-2"))


def clock(seconds: float) -> str:
    """Return a time span in words: ``about 1 min 20 s``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def engine_words(session: Session) -> Content:
    """Return the engine's state in words."""
    engine = session.engine
    if engine.state == "failed":
        return Content.styled(f"✗ {one_line(engine.error or 'The engine could not wake.', 160)}", "bold $error")
    if engine.state == "waking":
        words = Content.assemble(("◐ waking up", "$warning"), f" · {one_line(engine.stage, 48)} ")
        if engine.fraction is None:
            return words
        return Content.assemble(words, bar(engine.fraction, 20), f" {engine.fraction:.0%}")
    name = one_line(engine.base.name, 40) if engine.base else "engine"
    return Content.assemble(("● ", "$success"), name)


def slot_words(session: Session) -> Content:
    """Return who answers and what waits to be learned."""
    slot = session.slot
    if slot is None:
        return Content("")
    generation = f"generation {slot.current}" if slot.current else "base"
    words = Content.assemble(" · ", (one_line(slot.title, 24), "bold"), f" {generation}")
    if slot.waiting and session.study is None:
        lessons = "lesson waits" if slot.waiting == 1 else "lessons wait"
        words = Content.assemble(words, " · ", (f"{slot.waiting} {lessons}: f5", "$success"))
    return words


def study_words(session: Session) -> Content:
    """Return how far the running study is."""
    study = session.study
    if study is None:
        return Content("")
    words = Content.assemble(
        " · ",
        (f"☾ studying {one_line(session.title_of(study.slot), 16)} ", "$accent"),
        bar(study.fraction, 12),
        f" {study.fraction:.0%}",
    )
    if study.seconds_left is not None:
        words = Content.assemble(words, f" · {clock(study.seconds_left)} left")
    return words


def way_words(session: Session, room: int) -> Content:
    """Return what the reply in the open conversation costs on the way to its provider, in at most ``room`` cells."""
    told, open_one = session.traffic, session.conversation
    if told is None or open_one is None or told.conversation != open_one.id:
        return Content("")
    return Content.styled(traffic_words(told.traffic, room), "$accent")


class StatusLine(Static):
    """The line itself; one node, drawn again only when it says something else."""

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 2; color: $text-muted; text-overflow: ellipsis; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False, id="status")
        self._said: Content | None = None

    def show(self, session: Session) -> None:
        """Draw the state."""
        parts = [engine_words(session)]
        if session.ready:
            parts += [study_words(session)] if session.study else [slot_words(session)]
            room = self.content_size.width
            if way := way_words(session, room):
                fits = parts[0].cell_length + len(" · ") + way.cell_length <= room
                parts = [parts[0], Content(" · "), way] if fits else [way]
        said = Content("").join(parts)
        if said != self._said:
            self._said = said
            self.update(said)
