"""The one thread that computes: it loads the base, says how far it is, and then does one piece of model work at a time.

Coroutines of a chat compute inline and block their loop; here that loop is the thread's own, so that the engine goes on
answering everything else meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...schemas.errors import BaseMismatch, EngineError, ModelError, NightSchoolError
from ...schemas.messages import EngineStatus
from ...schemas.providers import Examined
from ..base.device import CPU, Device, Placement, place, telling_when_full
from ..base.installed import sizes
from ..base.memory import on_a_device, studying_on_a_device
from ..base.numbers import Numbers
from ..base.size import cut_of
from ..base.supply import FinalKind, ProviderKind
from ..files import storage_errors
from ..heap import give_back
from ..paths import Home
from ..settings import LOCAL, REMOTE, ServerSettings, Settings, read_settings
from .elsewhere import Elsewhere, names_of
from .plugins import PluginHost

if TYPE_CHECKING:
    from ..base.library import LoadedBase
    from ..base.provider import Provider
    from ..base.speed import Speed
    from ..chat.chat import Chat, Through
    from ..study.contracts import Router

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """What is loaded. Used in the model thread only, but for the fields that never change.

    Attributes:
        speed: Of the device that computes.
        placement: Which that is, and why where that must be told.
        elsewhere: The other ways to its lower blocks.
    """

    base: LoadedBase
    provider: Provider
    chat: Chat
    cut: int
    speed: Speed
    placement: Placement = field(default_factory=lambda: Placement(Device(CPU)))
    elsewhere: Elsewhere | None = None

    async def check(self) -> float:
        """Run the card's probe and return the measured distance in nats.

        Raises:
            BaseMismatch: If base and card do not belong together.
        """
        from ..base.card import check_probe
        from ..base.halves import open_tail

        return await check_probe(self.base.card, self.provider, open_tail(self.base, self.cut))

    async def through(self, names: tuple[str, ...], settings: Settings) -> Through | None:
        """Return the way to the lower blocks over these servers, or ``local``; None: there is but one.

        Raises:
            NightSchoolError: As of :meth:`Elsewhere.through`.
        """
        return None if self.elsewhere is None else await self.elsewhere.through(names, settings)

    def chat_over(self, through: Through | None) -> Chat:
        """Return who answers over a way to the lower blocks: one chat for states at the cut, others for final ones."""
        if through is None or through.normed is None or self.elsewhere is None:
            return self.chat
        return self.elsewhere.head_chat(through)

    async def forget(self, conversation: int) -> None:
        """Drop what was read of a conversation, over whatever way."""
        for chat in self._chats():
            await chat.forget(conversation)

    async def close(self) -> None:
        """Put away what was read."""
        for chat in self._chats():
            await chat.close()

    def _chats(self) -> list[Chat]:
        return [self.chat, *(self.elsewhere.chats if self.elsewhere is not None else ())]

    async def examine(self, server: ServerSettings, cut: int | None) -> Examined:
        """Measure a server against this base.

        Raises:
            NightSchoolError: As of :meth:`Elsewhere.examine`.
        """
        ways = self.elsewhere or Elsewhere(self.base, self.cut, ())
        return await ways.examine(server, cut)

    def room(self) -> int:
        """Return the bytes that another base might take of the device in place of this one; 0 on the CPU."""
        device = self.placement.device
        return 0 if device.is_cpu else device.free() + on_a_device(*sizes(self.base.folder))

    def place_study(self, home: Home) -> tuple[Placement, Numbers]:
        """Return where a study of this base computes beside this chat, and in which numbers. For any thread.

        Raises:
            DeviceFull: If the device that the settings name has not the room.
        """
        if self.placement.device.is_cpu:
            return Placement(self.placement.device), self.speed.many
        from ..base.speed import find_speed

        needed = studying_on_a_device(*sizes(self.base.folder))
        placement = place(read_settings(home).device, needed, f"A study of {self.base.card.name} beside the chat")
        if placement.device == self.placement.device:
            return placement, self.speed.many
        return placement, find_speed(home.models, placement.device).many


class ModelThread:
    """Loads a base in the background and runs model work in turn."""

    def __init__(self, home: Home, spec: str, plugins: PluginHost, tell: Callable[[EngineStatus], None]) -> None:
        """Prepare; ``tell`` is called in the loop that ``start`` is called in."""
        self._home = home
        self._spec = spec
        self._plugins = plugins
        self._tell = tell
        self._loaded: Future[Model] = Future()
        self._jobs: queue.SimpleQueue[Callable[[asyncio.Runner], None]] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asleep = False

    def start(self) -> None:
        """Begin to load. The thread ends with the process."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="model", daemon=True).start()

    def stay_asleep(self) -> None:
        """Load nothing until ``wake``; whoever wants the model is told so."""
        self._asleep = True
        self._loaded.set_exception(EngineError("This engine was started without a model; start one that has it."))

    def wake(self) -> None:
        """Begin to load after all, where nothing was to be loaded."""
        if self._asleep:
            self._asleep = False
            self._loaded = Future()
            self.start()

    @property
    def spec(self) -> str:
        """What is, or would be, loaded: what was asked for at the start, else what the profile is set to."""
        return self._spec or read_settings(self._home).base

    @property
    def ready(self) -> bool:
        """Whether the base is loaded and proven."""
        return self._loaded.done() and self._loaded.exception() is None

    async def model(self) -> Model:
        """Wait until the base is there and return it.

        Raises:
            NightSchoolError: If it could not be loaded.
        """
        return await asyncio.shield(asyncio.wrap_future(self._loaded))

    async def do(self, work: Callable[[Model], Coroutine[Any, Any, T]]) -> T:
        """Do a piece of work in the model thread, after what was asked before, and return what it gives."""
        model = await self.model()
        done: Future[T] = Future()

        def job(runner: asyncio.Runner) -> None:
            try:
                with telling_when_full(model.placement.device.name):
                    done.set_result(runner.run(work(model)))
            except BaseException as error:  # noqa: BLE001 (it is raised again where the work was asked for)
                done.set_exception(error)

        self._jobs.put(job)
        return await asyncio.shield(asyncio.wrap_future(done))

    async def forget(self, conversation: int) -> None:
        """Drop what was read of a conversation whose past was changed, also by an engine before this one."""
        if self.ready:
            await self.do(lambda model: model.forget(conversation))
        with storage_errors(self._home.readings):
            self._home.reading(conversation).unlink(missing_ok=True)

    async def close(self) -> None:
        """Put away what was read, for the next start."""
        if self.ready:
            await self.do(lambda model: model.close())

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            try:
                model = runner.run(self._load())
            except NightSchoolError as error:
                self._fail(error)
                return
            except Exception as error:  # noqa: BLE001 (whatever a library raises: the engine says so and goes on)
                _log.exception("the base could not be loaded")
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                self._fail(EngineError(f"The base cannot be loaded ({reason}); see {self._home.logs / 'engine.log'}."))
                return
            placed = model.placement
            self._say(EngineStatus(state="ready", base=model.base.card, device=placed.device.name, note=placed.note))
            self._loaded.set_result(model)
            while True:
                self._jobs.get()(runner)

    async def _load(self) -> Model:
        self._stage("Waking up", None)
        from ..base.library import load, prepare
        from ..base.speed import find_speed
        from ..chat.chat import Through
        from ..threads import use_all_cores

        folder = prepare(self.spec, self._home, self._stage)
        use_all_cores()
        self._stage("Loading the model", None)
        base = load(folder)
        placed = place(read_settings(self._home).device, on_a_device(*sizes(folder)), base.card.name)
        kinds: list[ProviderKind | FinalKind] = self._plugins.collect("nightschool_providers")
        settings = read_settings(self._home)
        names = names_of("", settings)
        final = settings.final(names[0])  # such an engine is asked with the first reply
        wanted = LOCAL if final or not settings.provider else REMOTE
        kind = next((kind for kind in kinds if kind.name == wanted), None)
        if not isinstance(kind, ProviderKind):
            raise ModelError(f"No plugin supplies the provider {wanted!r}; reinstall Night School.")
        self._stage("Checking the model", None)
        with telling_when_full(placed.device.name):
            speed = find_speed(self._home.models, placed.device)
            shelf = self._home.readings
            routers = self._routers()
            cut = cut_of(base.card.layers, base.upper, settings.cut)
            model = await quickest(base.on(placed.device.name), kind, speed, shelf, routers, cut=cut)
        give_back()
        elsewhere = Elsewhere(model.base, model.cut, kinds)
        if not final:
            elsewhere.hold(names, settings, Through(", ".join(names), model.provider))
        return replace(model, placement=placed, elsewhere=elsewhere)

    def _routers(self) -> list[Router]:
        """Return what may tell where a slot's lessons apply: the one that the settings name, if any."""
        name = read_settings(self._home).router
        return [self._plugins.named("nightschool_routers", name)] if name else []

    def _stage(self, stage: str, fraction: float | None) -> None:
        self._say(EngineStatus(state="waking", stage=stage, fraction=fraction))

    def _fail(self, error: NightSchoolError) -> None:
        self._loaded.set_exception(error)
        self._say(EngineStatus(state="failed", error=str(error), error_code=type(error).__name__))

    def _say(self, status: EngineStatus) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._tell, status)


async def quickest(
    base: LoadedBase,
    kind: ProviderKind,
    speed: Speed,
    shelf: Path | None = None,
    routers: Sequence[Router] = (),
    *,
    cut: int | None = None,
) -> Model:
    """Return the model in the quickest numbers that still compute what its card says; the rest is as of the chat.

    What was found so is kept on disk, ready to be used, and is tried first at the next start.

    Raises:
        BaseMismatch: If not even the finest ones do: base and card do not belong together.
    """
    from ..base.halves import is_lean, is_packed, pack

    # Stock modules are quick on a CPU in fp32 alone.
    order = speed.order() if is_lean(base) or base.device != CPU else [Numbers.FP32]
    for kept in sorted((base.computing_in(numbers) for numbers in order), key=is_packed, reverse=True):
        try:
            model = await _checked(kept, kind, speed, shelf, routers, cut=base.cut if cut is None else cut)
        except BaseMismatch as error:
            if kept.numbers is Numbers.FP32:
                raise
            _log.info("%s in %s: %s", base.card.name, kept.numbers, error)
            kept.kept.clear()  # there may be no room for both
        else:
            pack(kept)
            return model
    raise AssertionError("the order ends with the finest numbers")


async def _checked(
    base: LoadedBase, kind: ProviderKind, speed: Speed, shelf: Path | None, routers: Sequence[Router], *, cut: int
) -> Model:
    """Return the model that computes in the numbers of ``base``.

    Raises:
        BaseMismatch: If that is not what the card says.
    """
    from ..chat.chat import Chat

    provider = kind.open(base)
    model = Model(base, provider, Chat(base, provider, cut, shelf, routers=routers), cut, speed)
    await model.check()
    return model
