"""The full-screen app: one chat screen over one engine, which may wake late, die and come back."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.message import Message

from ..engine.paths import Home, find_home
from ..schemas.errors import NightSchoolError, PullCancelled
from ..schemas.events import Event, ImportEvent, PullEvent, StateEvent, StudyEndedEvent, StudyEvent
from ..schemas.exchange import ImportReading
from ..schemas.messages import (
    EngineStatus,
    ForgetLesson,
    GetStatus,
    ImportAdapter,
    PullModel,
    PullTail,
    ReadImported,
    RunImport,
    StartStudy,
    TeachSlot,
    UseModel,
)
from ..schemas.models import PulledTail
from .actions.plugins import run_command
from .commands import COMMANDS
from .exchange_words import reading_line, result_line
from .hangup import end_with_terminal
from .model_words import title
from .safe_text import one_line
from .screens.chat import ChatScreen
from .session import Session
from .settings import Settings
from .theme import NIGHT

if TYPE_CHECKING:
    from textual.screen import Screen

    from .engine_link import EngineLink

RESTARTS = 3
"""Losses within ``RESTART_SECONDS`` after which the engine is not restarted by itself any more."""
RESTART_SECONDS = 300.0
COLLECT_SECONDS = 30.0
"""Between two walks over all objects in search of garbage."""


class EngineTold(Message):
    """The engine told everybody something."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class EngineGone(Message):
    """The engine process ended without being asked to."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class NightSchool(App[int]):
    """The app. It never loads a model; it only talks to the engine through its link."""

    TITLE = "Night School"
    CSS_PATH: ClassVar[list[str]] = ["night.tcss", "screens/chat.tcss"]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self, link: EngineLink, slot: str | None = None, settings: Settings | None = None, home: Home | None = None
    ) -> None:
        super().__init__()
        self.link = link
        self.home = home or find_home()
        self.session = Session(slot_name=slot or "")
        self.settings = settings or Settings(None)
        self._losses: list[float] = []
        self._thresholds = gc.get_threshold()
        self._asleep = False
        """Whether the engine was given up and started without a base."""
        self._study_ends: set[int] = set()
        self._told_state = False
        """Whether the engine has told a state since it was asked for one; what is told is never older."""

    # -- life ---------------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        """The chat is the first screen."""
        return ChatScreen(self.link, self.session)

    @property
    def chat(self) -> ChatScreen:
        """The chat screen, whatever lies on top of it."""
        screen = self.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    def on_mount(self) -> None:
        """Draw first; the engine is started after the first frame."""
        self.register_theme(NIGHT)
        theme = self.settings.theme
        if theme in self.available_themes:
            self.theme = theme
        self.theme_changed_signal.subscribe(self, lambda theme: self.settings.keep_theme(theme.name))
        self.link.listen(self._told)
        self.link.when_lost(lambda reason: self._post(EngineGone(reason)))
        self.call_after_refresh(self._wake)

    def _wake(self) -> None:
        self._collect_seldom()
        self.run_worker(self._start(), group="engine", exit_on_error=True)

    def _collect_seldom(self) -> None:
        """Have Python walk all objects now and then only: that takes 15 to 40 ms, in which no key is echoed.

        By itself it does so several times a minute while a reply streams. What start-up made stays and is left out.
        """
        gc.freeze()
        young, middle, _ = self._thresholds
        gc.set_threshold(young, middle, 1_000_000)
        self.set_interval(COLLECT_SECONDS, self._collect)

    def _collect(self) -> None:
        gc.collect()

    async def _start(self, *, again: bool = False, model: str | None = None) -> None:
        """Start the engine and fill the screen from it; ``model`` is the base from now on, None: as before."""
        try:
            await (self.link.restart(model) if again else self.link.start())
            self._told_state = False
            status = await self.link.call(GetStatus())
            if not self._told_state:
                self._state(status)
        except NightSchoolError as error:
            self._state(EngineStatus(state="failed", error=str(error), error_code=type(error).__name__))
            return
        if self.screen_stack:  # empty: the app was closed meanwhile
            self.chat.begin(self.chat.engine_woke())

    async def _start_asleep(self) -> None:
        """Start the engine without a base, so that another can be chosen where this one brings it down."""
        try:
            await self.link.start(wake=False)
        except NightSchoolError as error:
            self.chat.tell(str(error), "error")

    async def on_unmount(self) -> None:
        """Let the engine finish what it writes."""
        gc.set_threshold(*self._thresholds)
        await self.link.close()

    # -- what the engine tells ----------------------------------------------------------------------------------------

    def _told(self, event: Event) -> None:
        """Take an event in whatever task or thread it comes; only the coalesced study progress is kept at once."""
        if isinstance(event, StudyEvent):
            self.session.hear_study(event)
        else:
            self._post(EngineTold(event))

    def _post(self, message: Message) -> None:
        if self.is_running:
            self.post_message(message)

    def on_engine_told(self, message: EngineTold) -> None:
        """Keep what was told and show it."""
        if not self.screen_stack:  # the app is being closed
            return
        event = message.event
        if isinstance(event, StateEvent):
            if event.status.state == "asleep":  # what is shown is why it had to be
                return
            self._told_state = True
            was_ready = self.session.engine.state == "ready"
            self._state(event.status)
            if event.status.state == "ready" and not was_ready:
                self.chat.begin(self.chat.engine_woke())
            return
        if isinstance(event, StudyEndedEvent):
            if event.study.id in self._study_ends:
                return
            self._study_ends.add(event.study.id)
            self.session.end_study()
            for screen in self.screen_stack[1:]:
                ended = getattr(screen, "study_ended", None)
                if ended is not None:
                    ended(event.study)
        self.chat.hear(event)

    def _state(self, status: EngineStatus) -> None:
        self.session.engine = status
        if status.state != "waking":
            self.session.lost = ""
        if self.screen_stack:
            self.chat.engine_changed()

    def on_engine_gone(self, message: EngineGone) -> None:
        """Say so and restart; give up where it dies again and again."""
        now = time.monotonic()
        self._losses = [*[at for at in self._losses if now - at < RESTART_SECONDS], now]
        self.session.end_study()
        if len(self._losses) > RESTARTS:
            sentence = (
                "The engine stopped again and again; choose a smaller model with alt+m, or run `nightschool doctor`."
            )
            self._state(EngineStatus(state="failed", error=sentence, error_code="EngineLost"))
            if not self._asleep:
                self._asleep = True
                self.run_worker(self._start_asleep(), group="engine", exit_on_error=True)
            return
        self.session.lost = message.reason or "It ended without a word."
        self._state(EngineStatus(state="waking", stage="restarting"))
        self.run_worker(self._start(again=True), group="engine", exit_on_error=True)

    # -- studies ------------------------------------------------------------------------------------------------------

    def start_study(self, request: StartStudy | ForgetLesson | ImportAdapter | TeachSlot) -> None:
        """Study a slot; it goes on whatever screen is shown."""
        self.run_worker(self._study(request), group="study", exit_on_error=True)

    async def _study(self, request: StartStudy | ForgetLesson | ImportAdapter | TeachSlot) -> None:
        try:
            study = await self.link.call(request)
        except NightSchoolError as error:
            self.session.end_study()
            self.chat.tell(str(error), "error")
            for screen in self.screen_stack[1:]:
                failed = getattr(screen, "study_failed", None)
                if failed is not None:
                    failed(str(error))
        else:
            self.post_message(EngineTold(StudyEndedEvent(study=study)))

    # -- models -------------------------------------------------------------------------------------------------------

    def start_pull(self, spec: str) -> None:
        """Fetch a model; it goes on whatever screen is shown."""
        self.session.pull = PullEvent(spec=spec, stage="Beginning")
        self.run_worker(self._pull(PullModel(spec=spec)), group="pull", exit_on_error=True)

    def start_tail(self, server: str) -> None:
        """Fetch the last blocks of the base that a server has; it goes on whatever screen is shown."""
        self.session.pull = PullEvent(spec=server, stage="Beginning")
        self.chat.tell(f"Fetching the last blocks of the model at {server}; alt+m shows how far it is.")
        self.run_worker(self._pull(PullTail(server=server)), group="pull", exit_on_error=True)

    async def _pull(self, request: PullModel | PullTail) -> None:
        def told(event: Event) -> None:
            if isinstance(event, PullEvent):
                self.session.pull = event

        try:
            found = await self.link.call(request, told)
        except PullCancelled as error:
            self.chat.tell(str(error))
        except NightSchoolError as error:
            self.chat.tell(str(error), "error")
        else:
            row = found.base if isinstance(found, PulledTail) else found
            name = row.title if row.upper is None else f"{title(row)},"
            self.chat.tell(f"{name} is here; alt+m and u let it answer.")
        self.session.pull = None
        for screen in self.screen_stack[1:]:
            refresh = getattr(screen, "refresh_rows", None)
            if refresh is not None:
                refresh()

    def use_model(self, spec: str) -> None:
        """Choose a model that is here, and start the engine again with it."""
        self.run_worker(self._use(spec), group="engine", exit_on_error=True)

    def start_with(self, spec: str) -> None:
        """Start the engine again with a model, without choosing it for the profile."""
        self.run_worker(self._change(spec, spec), group="engine", exit_on_error=True)

    async def _use(self, spec: str) -> None:
        try:
            row = await self.link.call(UseModel(spec=spec))
        except NightSchoolError as error:
            self.chat.tell(str(error), "error")
            return
        await self._change("", row.title)

    async def _change(self, model: str, title: str) -> None:
        self._asleep = False
        self._losses.clear()
        self._state(EngineStatus(state="waking", stage=f"changing to {title}"))
        await self._start(again=True, model=model)

    # -- imports ------------------------------------------------------------------------------------------------------

    def start_import(self, file: str, slot: str | None) -> None:
        """Import a file; it goes on whatever screen is shown."""
        self.session.importing = ImportEvent(file=file, stage="Importing", fraction=0.0)
        self.run_worker(self._import(file, slot), group="import", exit_on_error=True)

    async def _import(self, file: str, slot: str | None) -> None:
        def told(event: Event) -> None:
            if isinstance(event, ImportEvent):
                self.session.importing = event

        try:
            result = await self.link.call(RunImport(file=file, slot=slot), told)
            self.chat.tell(result_line(result))
            reading = None if result.cancelled else await self.link.call(ReadImported(), told)
        except NightSchoolError as error:
            self.chat.tell(str(error), "error")
            reading = None
        self.session.importing = None
        await self.chat.refresh_slots()
        await self.chat.refresh_library()
        for screen in self.screen_stack[1:]:
            ended = getattr(screen, "import_ended", None)
            if ended is not None:
                ended()
        if reading is not None and reading.lessons:
            self._show_lessons(reading)

    def _show_lessons(self, reading: ImportReading) -> None:
        """Show what was found in an import, to be confirmed; where another dialog is open, only say so."""
        from .screens.lessons import LessonsScreen

        self.chat.tell(reading_line(reading))
        if self.screen is self.chat:
            found = [lesson.id for lesson in reading.lessons]
            self.push_screen(LessonsScreen(self.link, self.session, found), self.chat.after_learning)

    # -- palette ------------------------------------------------------------------------------------------------------

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer the commands of the registry that are available now, then those of plugins."""
        if screen is not self.chat:
            return
        for row in COMMANDS:
            if row.id != "palette" and row.when(self.chat):
                keys = f" ({row.keys.split(',')[0]})" if row.keys else ""
                yield SystemCommand(
                    f"{row.group}: {row.label}{keys}", row.help, partial(self.chat.action_command, row.id)
                )
        for name, (said, about) in self.session.plugin_commands.items():
            words = one_line(said, 40)
            yield SystemCommand(f"Plugin: {words}", one_line(about), partial(run_command, self.chat, name, words))


def run(link: EngineLink, slot: str | None = None) -> int:
    """Open the app over an engine and return its exit code."""
    end_with_terminal(sys.stdin.fileno())
    home = find_home()
    return NightSchool(link, slot, Settings(home.root / "app.json"), home).run() or 0
