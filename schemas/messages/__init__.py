"""The engine protocol: what the app and the command line may ask, and what the engine tells (DESIGN 3.6).

One JSON object a line, both ways, over a local pipe:

    {"id": 7, "method": "chat.send", "params": {...}}      asked
    {"id": 7, "event": {"kind": "reply.delta", ...}}       told while request 7 is worked on
    {"id": null, "event": {"kind": "engine.state", ...}}   told to everybody
    {"id": 7, "result": ...}                               exactly one of these two ends request 7
    {"id": 7, "error": {"code": "Busy", "message": "..."}}

A request class carries its method and, as the type it is generic in, what comes back. Adding a request in a
module here and a handler of the same method in ``engine/host/service.py`` is all it takes; a test compares the two. The
events stand in ``events.py``.
"""

from __future__ import annotations

from typing import Any

from .bases import (
    AddProvider as AddProvider,
)
from .bases import (
    CancelPull as CancelPull,
)
from .bases import (
    ExamineProvider as ExamineProvider,
)
from .bases import (
    ListModels as ListModels,
)
from .bases import (
    ListProviders as ListProviders,
)
from .bases import (
    PullModel as PullModel,
)
from .bases import (
    PullTail as PullTail,
)
from .bases import (
    RemoveModel as RemoveModel,
)
from .bases import (
    RemoveProvider as RemoveProvider,
)
from .bases import (
    UseModel as UseModel,
)
from .bases import (
    UseProviders as UseProviders,
)
from .bundles import (
    ConvertBundle as ConvertBundle,
)
from .bundles import (
    DescribeVersion as DescribeVersion,
)
from .bundles import (
    TakeBundle as TakeBundle,
)
from .chat import (
    AnswerTurns as AnswerTurns,
)
from .chat import (
    CancelCompare as CancelCompare,
)
from .chat import (
    CancelReply as CancelReply,
)
from .chat import (
    CompareSlots as CompareSlots,
)
from .chat import (
    Copied as Copied,
)
from .chat import (
    EditReply as EditReply,
)
from .chat import (
    KeepAnswer as KeepAnswer,
)
from .chat import (
    NoteWords as NoteWords,
)
from .chat import (
    Regenerate as Regenerate,
)
from .chat import (
    Sampling as Sampling,
)
from .chat import (
    SendMessage as SendMessage,
)
from .chat import (
    Thumb as Thumb,
)
from .conversations import (
    CancelImport as CancelImport,
)
from .conversations import (
    CreateConversation as CreateConversation,
)
from .conversations import (
    DeleteConversation as DeleteConversation,
)
from .conversations import (
    ExportConversations as ExportConversations,
)
from .conversations import (
    ListConversations as ListConversations,
)
from .conversations import (
    ListMessages as ListMessages,
)
from .conversations import (
    PreviewImport as PreviewImport,
)
from .conversations import (
    ReadImported as ReadImported,
)
from .conversations import (
    RenameConversation as RenameConversation,
)
from .conversations import (
    RestoreConversation as RestoreConversation,
)
from .conversations import (
    RunImport as RunImport,
)
from .conversations import (
    SearchConversations as SearchConversations,
)
from .engine import (
    Check as Check,
)
from .engine import (
    Doctor as Doctor,
)
from .engine import (
    EngineStatus as EngineStatus,
)
from .engine import (
    GetStatus as GetStatus,
)
from .engine import (
    Shutdown as Shutdown,
)
from .hub import (
    FetchAdapter as FetchAdapter,
)
from .hub import (
    PublishVersion as PublishVersion,
)
from .learning import (
    AddNote as AddNote,
)
from .learning import (
    CancelStudy as CancelStudy,
)
from .learning import (
    ChangeNote as ChangeNote,
)
from .learning import (
    ExpireLesson as ExpireLesson,
)
from .learning import (
    ForgetLesson as ForgetLesson,
)
from .learning import (
    ForgetNote as ForgetNote,
)
from .learning import (
    ListLessons as ListLessons,
)
from .learning import (
    ListNights as ListNights,
)
from .learning import (
    ListNotes as ListNotes,
)
from .learning import (
    ListRelations as ListRelations,
)
from .learning import (
    ListSignals as ListSignals,
)
from .learning import (
    ListStudies as ListStudies,
)
from .learning import (
    MergeLessons as MergeLessons,
)
from .learning import (
    RunNight as RunNight,
)
from .learning import (
    StartStudy as StartStudy,
)
from .learning import (
    TeachNote as TeachNote,
)
from .learning import (
    UndoSignal as UndoSignal,
)
from .learning import (
    UpdateLesson as UpdateLesson,
)
from .plugins import (
    DisablePlugin as DisablePlugin,
)
from .plugins import (
    EnablePlugin as EnablePlugin,
)
from .plugins import (
    ListPlugins as ListPlugins,
)
from .plugins import (
    RunPluginCommand as RunPluginCommand,
)
from .plugins import (
    TrustPlugin as TrustPlugin,
)
from .request import (
    Request as Request,
)
from .slots import (
    ArchiveSlot as ArchiveSlot,
)
from .slots import (
    AuditVersion as AuditVersion,
)
from .slots import (
    BlendSlots as BlendSlots,
)
from .slots import (
    CheckSlots as CheckSlots,
)
from .slots import (
    CollectGarbage as CollectGarbage,
)
from .slots import (
    CreateSlot as CreateSlot,
)
from .slots import (
    DeleteSlot as DeleteSlot,
)
from .slots import (
    DiffVersions as DiffVersions,
)
from .slots import (
    ExportSlot as ExportSlot,
)
from .slots import (
    ForkSlot as ForkSlot,
)
from .slots import (
    GetQuality as GetQuality,
)
from .slots import (
    ImportAdapter as ImportAdapter,
)
from .slots import (
    ListSlots as ListSlots,
)
from .slots import (
    ListVersions as ListVersions,
)
from .slots import (
    PinVersion as PinVersion,
)
from .slots import (
    PreviewVersion as PreviewVersion,
)
from .slots import (
    RenameSlot as RenameSlot,
)
from .slots import (
    Rollback as Rollback,
)
from .slots import (
    TeachSlot as TeachSlot,
)
from .slots import (
    UndeleteSlot as UndeleteSlot,
)
from .slots import (
    UpdateSlot as UpdateSlot,
)


def requests_by_method() -> dict[str, type[Request[Any]]]:
    """Return every request class by its method."""
    return {
        cls.method: cls
        for cls in globals().values()
        if isinstance(cls, type) and issubclass(cls, Request) and "method" in cls.__dict__
    }
