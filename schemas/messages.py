"""The engine protocol: what the app and the command line may ask, and what the engine tells (DESIGN 3.6).

One JSON object a line, both ways, over a local pipe:

    {"id": 7, "method": "chat.send", "params": {...}}      asked
    {"id": 7, "event": {"kind": "reply.delta", ...}}       told while request 7 is worked on
    {"id": null, "event": {"kind": "engine.state", ...}}   told to everybody
    {"id": 7, "result": ...}                               exactly one of these two ends request 7
    {"id": 7, "error": {"code": "Busy", "message": "..."}}

A request class carries its method and, as the type it is generic in, what comes back. Adding a request here and a
handler of the same method in ``engine/host/service.py`` is all it takes; a test compares the two. The events stand in
``events.py``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from .cards import BaseCard
from .exchange import ExportForm, ExportResult, ImportPreview, ImportReading, ImportResult
from .models import KnownBase, KnownBases
from .providers import Examined, KnownProvider, KnownProviders
from .records import (
    AdapterForm,
    Answered,
    Collected,
    Compared,
    Conversation,
    ExportedAdapter,
    GenerationQuality,
    GivenTurn,
    Lesson,
    LessonRelation,
    LessonState,
    MemoryNote,
    MergeOptions,
    Message,
    Night,
    Record,
    SearchHit,
    Signal,
    Slot,
    StoreCheck,
    Study,
    Version,
    VersionDiff,
)

R = TypeVar("R")


class Request(BaseModel, Generic[R]):
    """Something asked of the engine; ``R`` is the type of the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    method: ClassVar[str]

    @classmethod
    def result_type(cls) -> TypeAdapter[Any]:
        """Return the adapter that parses and dumps the answer to this request."""
        for base in cls.__mro__:
            arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args", ())
            if arguments:
                return TypeAdapter(arguments[0])
        raise TypeError(f"{cls.__name__} does not say what it returns")


# -- the engine itself ------------------------------------------------------------------------------------------------


class EngineStatus(Record):
    """How far the engine is: ``waking`` (with a stage and, where known, a share done), ``ready`` or ``failed``.

    When it is ready, ``device`` is what computes, and ``note`` what the user must know of that, if anything.
    An engine that was started to do without a base is ``asleep`` and stays so.
    """

    state: Literal["waking", "ready", "failed", "asleep"]
    stage: str = ""
    fraction: float | None = None
    base: BaseCard | None = None
    device: str = ""
    note: str = ""
    error: str = ""
    error_code: str = ""


class Check(Record):
    """One line of the doctor: what was looked at, whether it is well, and what to do if not."""

    name: str
    ok: bool
    text: str


class GetStatus(Request[EngineStatus]):
    """How far the engine is. Answered at once, also while the model loads."""

    method = "engine.status"


class Doctor(Request[list[Check]]):
    """Look at model, files, database, plugins and machine."""

    method = "engine.doctor"


class Shutdown(Request[None]):
    """Finish what is being written, then end."""

    method = "engine.shutdown"


# -- bases: answered also while one loads, and where none could be loaded ----------------------------------------------


class ListModels(Request[KnownBases]):
    """The bases of the catalogue and those on this machine."""

    method = "models.list"


class PullModel(Request[KnownBase]):
    """Fetch a base and make it ready. Told: ``model.pull``. ``spec`` as ``library.prepare`` takes it."""

    method = "models.pull"
    spec: str


class CancelPull(Request[bool]):
    """Stop fetching; what is there stays for the next pull. False: nothing was being fetched."""

    method = "models.cancel"


class UseModel(Request[KnownBase]):
    """Let the profile start with a base that is on this machine; the engine that runs keeps its own."""

    method = "models.use"
    spec: str


class RemoveModel(Request[int]):
    """Remove a base, or what a broken pull left of it, from the disk; returns the bytes that came free.

    ``force`` removes it also where the profile starts with it (then with the default again) or slots learned on it.
    """

    method = "models.remove"
    spec: str
    force: bool = False


# -- servers that compute elsewhere: answered without a base, but for ``providers.test`` ------------------------------


class ListProviders(Request[KnownProviders]):
    """The servers that the profile names, and where it computes."""

    method = "providers.list"


class AddProvider(Request[KnownProvider]):
    """Name a server. Nothing is asked of it.

    ``token`` is its key, which is kept in a file that nobody else can read; ``key_file`` a file that has it already.
    ``kind`` is ``hsp`` for a server of ours, or names an engine of others.
    """

    method = "providers.add"
    name: str
    url: str
    kind: str = Field(default="hsp", pattern=r"^[a-z0-9._-]{1,32}$")
    token: str = Field(default="", repr=False)
    key_file: str = ""
    codec: str = "bf16"
    zstd: bool = True
    plain_http: bool = False
    kl_budget: float | None = Field(default=None, ge=0.0)


class RemoveProvider(Request[None]):
    """Forget a server, and its key if it is kept here; refused while the profile or a slot computes there."""

    method = "providers.remove"
    name: str


class UseProviders(Request[KnownProviders]):
    """Let chats compute there from the next reply on: servers, the preferred one first, or ``local``."""

    method = "providers.use"
    names: list[str]


class ExamineProvider(Request[Examined]):
    """Say how far a server is, whether it computes the base that is loaded, and what its codecs cost.

    ``server`` is a name, or an address that needs no key, of a server of this ``kind``; ``cut`` None: the usual one.
    """

    method = "providers.test"
    server: str
    kind: str = Field(default="hsp", pattern=r"^[a-z0-9._-]{1,32}$")
    cut: int | None = Field(default=None, ge=0)


# -- slots and versions -----------------------------------------------------------------------------------------------


class ListSlots(Request[list[Slot]]):
    """The slots in use, in the order they were made; with the archived ones, or the deleted ones, where asked for."""

    method = "slots.list"
    archived: bool = False
    deleted: bool = False


class CreateSlot(Request[Slot]):
    """Add a slot of the user's own; ``name`` is derived from the title where it is empty."""

    method = "slots.create"
    title: str
    name: str = ""
    description: str = ""
    system_prompt: str = ""


class UpdateSlot(Request[Slot]):
    """Change a slot's settings; None leaves a field as it is.

    An empty ``base`` lets it answer with any, an empty ``blend`` with its own adapter alone; an empty ``provider`` has
    its lower blocks computed where those of the profile are.
    """

    method = "slots.update"
    name: str
    title: str | None = None
    description: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    base: str | None = None
    blend: dict[str, float] | None = None
    provider: str | None = None


class RenameSlot(Request[Slot]):
    """Give a slot another title, another name (its folder and handle), or both; None leaves one as it is."""

    method = "slots.rename"
    slot: str
    title: str | None = None
    name: str | None = None


class ArchiveSlot(Request[Slot]):
    """Put a slot out of sight, where it keeps everything and is not studied at night; ``archived`` False: back."""

    method = "slots.archive"
    slot: str
    archived: bool = True


class DeleteSlot(Request[Slot]):
    """Delete a slot with its conversations and lessons; ``slots.undelete`` brings all of it back, for 30 days."""

    method = "slots.delete"
    slot: str


class UndeleteSlot(Request[Slot]):
    """Bring a deleted slot back as it was."""

    method = "slots.undelete"
    slot: str


class BlendSlots(Request[Study]):
    """Merge what several slots have learned into a new generation of a slot, if it passes the gates.

    Told and returned as a study. ``weights`` by slot; ``into`` may be one of them.
    """

    method = "slots.blend"
    weights: dict[str, float]
    into: str
    strategy: str = "exact"
    options: MergeOptions = MergeOptions()


class ForkSlot(Request[Slot]):
    """Make a slot of the user's own that begins where another one is now, with its settings, adapter and lessons."""

    method = "slots.fork"
    slot: str
    title: str
    name: str = ""


class DiffVersions(Request[VersionDiff]):
    """Compare two generations of a slot."""

    method = "versions.diff"
    slot: str
    one: int
    other: int


class ExportSlot(Request[ExportedAdapter]):
    """Write a generation of a slot into a new folder; ``number`` None: the current one.

    ``peft`` copies its files, ``gguf`` makes a LoRA for llama.cpp and a Modelfile, ``merged`` a whole model.
    """

    method = "slots.export"
    slot: str
    to: str
    form: AdapterForm = AdapterForm.PEFT
    number: int | None = None


class ImportAdapter(Request[Study]):
    """Make a PEFT LoRA from elsewhere a new generation of a slot, if it passes the gates.

    Told and returned as a study.
    """

    method = "slots.import"
    folder: str
    into: str


class CheckSlots(Request[StoreCheck]):
    """Hash every file of every generation again; repair what is damaged where a whole copy is at hand."""

    method = "slots.check"


class ListVersions(Request[list[Version]]):
    """All generations of a slot, the newest first; generation 0, the base, is the last."""

    method = "versions.list"
    slot: str


class PinVersion(Request[Version]):
    """Keep the files of a generation, however many are kept; ``pinned`` False: no longer."""

    method = "versions.pin"
    slot: str
    number: int
    pinned: bool = True


class CollectGarbage(Request[Collected]):
    """Remove what nothing needs: deleted slots whose time is over, what was never finished, what studies left.

    ``keep``: of each slot only so many of the newest generations keep their files; None: as the settings say, which is
    all of them where they do not. The current one, what a rollback goes back to and what is pinned stay always.
    """

    method = "slots.gc"
    keep: int | None = Field(default=None, ge=1)
    dry_run: bool = False


class Rollback(Request[Version]):
    """Make a new generation that equals an old one. ``to`` None: the one before the current."""

    method = "versions.rollback"
    slot: str
    to: int | None = None


class GetQuality(Request[list[GenerationQuality]]):
    """How each generation of a slot was measured and how it fared in chats, the oldest first."""

    method = "versions.quality"
    slot: str


# -- conversations ----------------------------------------------------------------------------------------------------


class ListConversations(Request[list[Conversation]]):
    """Conversations, the latest first; of one slot or of all."""

    method = "conversations.list"
    slot: str | None = None
    limit: int = Field(default=100, ge=1, le=10_000)
    offset: int = Field(default=0, ge=0)


class CreateConversation(Request[Conversation]):
    """Begin an empty conversation in a slot. The title follows from the first message where it is empty."""

    method = "conversations.create"
    slot: str
    title: str = ""


class RenameConversation(Request[Conversation]):
    """Give a conversation another title."""

    method = "conversations.rename"
    conversation: int
    title: str


class DeleteConversation(Request[None]):
    """Put a conversation away; ``conversations.restore`` brings it back."""

    method = "conversations.delete"
    conversation: int


class RestoreConversation(Request[Conversation]):
    """Bring a deleted conversation back."""

    method = "conversations.restore"
    conversation: int


class ListMessages(Request[list[Message]]):
    """The messages of a conversation in order; the last ``limit`` before message ``before``, where given."""

    method = "conversations.messages"
    conversation: int
    before: int | None = None
    limit: int = Field(default=1000, ge=1, le=100_000)


class SearchConversations(Request[list[SearchHit]]):
    """Full-text search over all messages; words are prefixes, all of them must occur."""

    method = "conversations.search"
    query: str
    limit: int = Field(default=50, ge=1, le=1000)


# -- conversations from and for elsewhere: answered without a base -----------------------------------------------------


class PreviewImport(Request[ImportPreview]):
    """Look what importing a file, a folder or an archive would bring; ``file`` is a whole path.

    Told: ``import.progress``.
    """

    method = "imports.preview"
    file: str


class RunImport(Request[ImportResult]):
    """Import what is new in a file. Told: ``import.progress``.

    ``slot`` None: each conversation into the slot that the file names for it, else into the first.
    """

    method = "imports.run"
    file: str
    slot: str | None = None


class ReadImported(Request[ImportReading]):
    """Read what was imported, and not read yet, for what it teaches. Told: ``import.progress``.

    Lessons from it wait to be confirmed, but those that the user said to be for good. ``conversation`` None: all.
    """

    method = "imports.read"
    conversation: int | None = None


class CancelImport(Request[bool]):
    """Stop the preview, the import or the reading; what is stored stays, and the next one goes on. False: none."""

    method = "imports.cancel"


class ExportConversations(Request[ExportResult]):
    """Write conversations to a file: those named, or of a slot, or all. Told: ``import.progress``."""

    method = "exports.run"
    file: str
    form: ExportForm
    conversations: list[int] = Field(default_factory=list)
    slot: str | None = None
    lessons: bool = False


# -- chat -------------------------------------------------------------------------------------------------------------


class Sampling(Record):
    """How tokens are chosen. Temperature 0 takes the likeliest token. None: the slot's own temperature."""

    temperature: float | None = Field(default=None, ge=0.0, le=5.0)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    seed: int | None = None
    max_tokens: int = Field(default=512, ge=1, le=100_000)


class SendMessage(Request[Message]):
    """Say something; told: ``message.added`` (the user's), ``signal.noted``, ``reply.delta``. Returns the reply.

    ``blend``: slots and their weights that this one reply is spoken with; None: as the slot is set.
    """

    method = "chat.send"
    conversation: int
    text: str
    sampling: Sampling = Sampling()
    blend: dict[str, float] | None = None


class Regenerate(Request[Message]):
    """Answer again in place of the last reply of the conversation. Told: ``reply.delta``. Returns the new reply.

    ``blend`` as of ``chat.send``.
    """

    method = "chat.regenerate"
    conversation: int
    sampling: Sampling = Sampling()
    blend: dict[str, float] | None = None


class CancelReply(Request[bool]):
    """Stop the reply that is being written in a conversation; what was said stays. False: nothing was running."""

    method = "chat.cancel"
    conversation: int


class AnswerTurns(Request[Answered]):
    """Answer a chat whose history the caller brings, with the voice of a slot. Told: ``reply.delta``.

    Nothing is stored. ``conversation`` is a number below 0 that the caller chooses: events carry it, and
    ``chat.cancel`` stops the reply by it. ``slot`` empty: the plain base. ``system`` stands after the system prompt of
    the slot; ``memory`` False leaves out what is known of the user. The reply ends before the first of ``stop`` that it
    would say.
    """

    method = "chat.answer"
    conversation: int = Field(lt=0)
    slot: str
    turns: list[GivenTurn] = Field(min_length=1)
    system: str = ""
    memory: bool = True
    sampling: Sampling = Sampling()
    stop: list[str] = Field(default_factory=list)


class KeepAnswer(Request[Message]):
    """Store a chat that ``chat.answer`` answered as a conversation of a slot, so that it can be corrected.

    Returns the reply. It does not count in the quality of a generation: only what is corrected is ever kept.
    """

    method = "chat.keep"
    slot: str
    turns: list[GivenTurn] = Field(min_length=1)
    reply: Answered


class NoteWords(Request[Message]):
    """Say something that asks for no answer, and is read for what it teaches. Told: ``signal.noted``."""

    method = "chat.note"
    conversation: int
    text: str


class CompareSlots(Request[list[Compared]]):
    """Ask several slots the same at once, with the system prompt of the first. Nothing is stored.

    Told: ``compare.delta``.
    """

    method = "slots.compare"
    text: str
    slots: list[str]
    sampling: Sampling = Sampling()


class CancelCompare(Request[bool]):
    """Stop what several slots are saying; what was said is returned. False: nothing was running."""

    method = "slots.compare.cancel"


class EditReply(Request[Message]):
    """Replace the model's reply by the user's own wording: a correction. Told: ``signal.noted``."""

    method = "chat.edit"
    message: int
    text: str


class Thumb(Request[Message]):
    """Rate a reply: 1 up, -1 down, 0 takes it back. Told: ``signal.noted``."""

    method = "chat.thumb"
    message: int
    value: int = Field(ge=-1, le=1)


# -- signals, lessons, studies ----------------------------------------------------------------------------------------


class ListSignals(Request[list[Signal]]):
    """The signals of a conversation, in order."""

    method = "signals.list"
    conversation: int


class UndoSignal(Request[Signal]):
    """Take a signal back, and with it the lesson it alone gave (an edit's text is restored)."""

    method = "signals.undo"
    signal: int


class ListLessons(Request[list[Lesson]]):
    """The lessons of a slot (or of all), in the given states (or in any), the latest first."""

    method = "lessons.list"
    slot: str | None = None
    states: list[LessonState] = Field(default_factory=list)


class UpdateLesson(Request[Lesson]):
    """Approve, dismiss or re-word a lesson; a new ``rule`` text is read again for what it asks."""

    method = "lessons.update"
    lesson: int
    state: LessonState | None = None
    rule: str | None = None


class MergeLessons(Request[Lesson]):
    """Let one lesson count for others of its slot that say the same; returns it. Approving one of them parts it again.

    The first that is learned stays, else the first that is named.
    """

    method = "lessons.merge"
    lessons: list[int] = Field(min_length=2)


class ExpireLesson(Request[Lesson]):
    """Say when a lesson ends to count: "30d", "2026-12-24", "until Friday", or "never"."""

    method = "lessons.expire"
    lesson: int
    end: str


class ListRelations(Request[list[LessonRelation]]):
    """Which lessons of a slot (or of all) say the same, and which contradict each other."""

    method = "lessons.relations"
    slot: str | None = None


class ForgetLesson(Request[Study]):
    """Train a slot anew without a learned lesson, and prove that it shows no more. Told and returned as a study.

    The older generations keep it; what was learned beside it stays.
    """

    method = "lessons.forget"
    lesson: int


class ListNotes(Request[list[MemoryNote]]):
    """What is known of the user, the oldest first: what a slot is told, or all."""

    method = "memory.list"
    slot: str | None = None


class AddNote(Request[MemoryNote]):
    """Remember something of the user; for one slot, or for all."""

    method = "memory.add"
    text: str
    slot: str | None = None


class ChangeNote(Request[MemoryNote]):
    """Put a note in other words."""

    method = "memory.change"
    note: int
    text: str


class ForgetNote(Request[None]):
    """Remove a note."""

    method = "memory.forget"
    note: int


class TeachNote(Request[Lesson]):
    """Make a lesson of a note, approved, for the next study of a slot; the one that is there if it was made before."""

    method = "memory.teach"
    note: int
    slot: str


class StartStudy(Request[Study]):
    """Study the approved lessons of a slot. Told: ``study.progress``. Returns when it has ended, however it did.

    ``rebuild``: train the slot anew on all that it has learned instead; the better of the two versions counts.
    """

    method = "study.start"
    slot: str
    trainer: str = Field(default="", description="What makes the adapter; empty: as the settings say.")
    rebuild: bool = False


class CancelStudy(Request[bool]):
    """Stop the running study; the slot stays as it is. False: none was running."""

    method = "study.cancel"


class ListStudies(Request[list[Study]]):
    """The studies of a slot (or of all), the latest first."""

    method = "study.list"
    slot: str | None = None


class RunNight(Request[Night]):
    """Study every slot that has something to learn, one after the other. Told: ``study.progress``, ``study.ended``.

    ``least`` lessons must wait in a slot. ``on_battery`` False waits for mains power, where the system tells.
    """

    method = "night.run"
    least: int = Field(default=1, ge=1)
    on_battery: bool = False


class ListNights(Request[list[Night]]):
    """The nights, the latest first."""

    method = "night.list"
    limit: int = Field(default=30, ge=1, le=1000)


def requests_by_method() -> dict[str, type[Request[Any]]]:
    """Return every request class of this module by its method."""
    return {
        cls.method: cls
        for cls in globals().values()
        if isinstance(cls, type) and issubclass(cls, Request) and "method" in cls.__dict__
    }
