"""The service: one handler for each request of ``schemas/messages/``, whatever carried the request here."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ...schemas.errors import EngineError, NightSchoolError
from ...schemas.events import Event, SignalEvent
from ...schemas.messages import Check, Doctor, EngineStatus, GetStatus, Request, Shutdown
from ...schemas.records import Signal
from . import doctor
from .answer_service import AnswerService
from .audit_service import AuditService
from .bundle_service import BundleService
from .chat_service import ChatService
from .compare_service import CompareService
from .conversation_service import ConversationService
from .correction_service import CorrectionService
from .exchange_service import ExchangeService
from .expiry import end_expired
from .fetching import Fetching
from .garbage_service import GarbageService
from .hub_service import HubService
from .lesson_service import LessonService
from .memory_service import MemoryService
from .model_service import ModelService
from .night_service import NightService
from .plugin_service import PluginService
from .portability_service import PortabilityService
from .provider_service import ProviderService
from .quality_service import QualityService
from .rooms import Handler, Rooms, Tell
from .slot_life_service import SlotLifeService, tidy_slots
from .slot_service import SlotService, settle_after_crash
from .study_service import StudyService

_log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0


class Service:
    """Answers requests over the rooms of one profile. Lives in one event loop."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        chat, corrections = ChatService(rooms), CorrectionService(rooms)
        conversations, slots = ConversationService(rooms), SlotService(rooms)
        life, garbage = SlotLifeService(rooms), GarbageService(rooms)
        fetching = Fetching()
        lessons, self._studies, self._models = LessonService(rooms), StudyService(rooms), ModelService(rooms, fetching)
        self._nights = NightService(rooms, self._studies)
        self._quality = QualityService(rooms, slots)
        answers = AnswerService(rooms)
        self._exchange, memory = ExchangeService(rooms), MemoryService(rooms)
        self._compare = compare = CompareService(rooms)
        providers, bundles = ProviderService(rooms), BundleService(rooms, self._studies)
        plugins, audits = PluginService(rooms), AuditService(rooms, self._studies)
        hub = HubService(rooms, bundles, audits, fetching)
        self.handlers: dict[str, Handler] = {
            "engine.status": self._status,
            "engine.doctor": self._doctor,
            "engine.shutdown": self._shutdown,
            "models.list": self._models.list_all,
            "models.pull": self._models.pull,
            "tails.pull": self._models.pull_tail,
            "models.cancel": self._models.cancel,
            "models.use": self._models.use,
            "models.remove": self._models.remove,
            "providers.list": providers.list_all,
            "providers.add": providers.add,
            "providers.remove": providers.remove,
            "providers.use": providers.use,
            "providers.test": providers.test,
            "plugins.list": plugins.list_all,
            "plugins.trust": plugins.trust,
            "plugins.enable": plugins.enable,
            "plugins.disable": plugins.disable,
            "plugins.run": plugins.run,
            "slots.list": slots.list_all,
            "slots.create": slots.create,
            "slots.update": slots.update,
            "slots.rename": life.rename,
            "slots.archive": life.archive,
            "slots.delete": life.delete,
            "slots.undelete": life.undelete,
            "slots.gc": garbage.collect,
            "slots.blend": self._studies.blend,
            "slots.check": slots.check,
            "slots.compare": compare.compare,
            "slots.compare.cancel": compare.cancel,
            "slots.fork": slots.fork,
            "slots.export": PortabilityService(rooms).export,
            "slots.import": self._studies.bring,
            "slots.teach": self._studies.teach,
            "hub.fetch": hub.fetch,
            "hub.publish": hub.publish,
            "bundles.describe": bundles.describe,
            "bundles.convert": bundles.convert,
            "bundles.take": bundles.take,
            "versions.list": slots.versions,
            "versions.rollback": slots.rollback,
            "versions.pin": garbage.pin,
            "versions.diff": slots.diff,
            "versions.preview": compare.preview,
            "versions.audit": audits.audit,
            "versions.quality": self._quality.quality,
            "conversations.list": conversations.list_all,
            "conversations.create": conversations.create,
            "conversations.rename": conversations.rename,
            "conversations.delete": conversations.delete,
            "conversations.restore": conversations.restore,
            "conversations.messages": conversations.messages,
            "conversations.search": conversations.search,
            "imports.preview": self._exchange.preview,
            "imports.run": self._exchange.run,
            "imports.read": self._exchange.read,
            "imports.cancel": self._exchange.cancel,
            "exports.run": self._exchange.export,
            "chat.send": chat.send,
            "chat.regenerate": chat.regenerate,
            "chat.cancel": chat.cancel,
            "chat.answer": answers.answer,
            "chat.keep": answers.keep,
            "chat.note": answers.note,
            "chat.edit": corrections.edit,
            "chat.thumb": corrections.thumb,
            "chat.copied": corrections.copied,
            "signals.list": corrections.signals,
            "signals.undo": corrections.undo,
            "lessons.list": lessons.list_all,
            "lessons.update": lessons.update,
            "lessons.merge": lessons.merge,
            "lessons.expire": lessons.expire,
            "lessons.relations": lessons.relations,
            "lessons.forget": self._studies.forget,
            "study.start": self._studies.start,
            "study.cancel": self._studies.cancel,
            "study.list": self._studies.list_all,
            "memory.list": memory.list_all,
            "memory.add": memory.add,
            "memory.change": memory.change,
            "memory.forget": memory.forget,
            "memory.teach": memory.teach,
            "night.run": self._nights.run,
            "night.list": self._nights.list_all,
        }

    async def answer(self, request: Request[Any], tell: Tell) -> Any:
        """Return the answer to a request.

        Raises:
            NightSchoolError: Why there is none; a mistake of ours becomes an ``EngineError`` and goes to the log.
        """
        signals: list[Signal] = []

        def told(event: Event) -> None:
            tell(event)
            if isinstance(event, SignalEvent):
                signals.append(event.signal)

        try:
            result = await self.handlers[request.method](request, told)
            for signal in signals:
                await self._quality.look(signal)
            return result
        except NightSchoolError:
            raise
        except Exception as error:
            _log.exception("%s failed", request.method)
            raise EngineError(
                f"{request.method} failed ({type(error).__name__}: {error}); {self._rooms.home.logs} holds the details."
            ) from error

    def recover(self) -> None:
        """Put right what an engine that was killed left half done."""
        tidy_slots(self._rooms)
        settle_after_crash(self._rooms)
        end_expired(self._rooms)
        self._nights.recover()

    def watch(self) -> None:
        """Begin what an engine does of itself while it is open."""
        self._nights.watch()

    async def close(self) -> None:
        """Stop replies, comparisons, study, import and fetching, wait until what was said is stored."""
        for answering in self._rooms.answering.values():
            answering.stopped.set()
        self._compare.stop()
        await self._nights.close()
        await self._exchange.close()
        await self._studies.close()
        await self._models.close()
        deadline = asyncio.get_running_loop().time() + CLOSE_SECONDS
        while self._rooms.answering and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        await self._rooms.model.close()

    async def _status(self, request: GetStatus, tell: Tell) -> EngineStatus:
        return self._rooms.status()

    async def _doctor(self, request: Doctor, tell: Tell) -> list[Check]:
        return await doctor.look(self._rooms)

    async def _shutdown(self, request: Shutdown, tell: Tell) -> None:
        """The process ends when it has sent this answer."""
