"""Commands of a conversation: ask, correct a reply, take a signal back."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, field
from typing import Any

import click

from ...schemas.errors import ChatError, NightSchoolError, NotFound, UsageError
from ...schemas.events import DeltaEvent, Event, MessageEvent, SignalEvent, TrafficEvent
from ...schemas.messages import (
    CancelReply,
    CreateConversation,
    DeleteConversation,
    EditReply,
    ListMessages,
    SendMessage,
    UndoSignal,
)
from ...schemas.providers import TrafficFacts
from ...schemas.records import Finish, Message, Role
from ..traffic_words import traffic_words
from .desk import Desk, named_weights, talks
from .options import Weights, examples, sampling_of, sampling_options, slot_option
from .output import lesson_line
from .pages import all_conversations

CANCEL_SECONDS = 5.0
"""How long a stopped reply may take to end; what was said is kept by the engine in any case."""


@click.command(
    epilog=examples(
        'nightschool ask "What is the capital of France?"',
        "git diff | nightschool ask --slot professional -",
        'nightschool ask --conversation 7 --json "And of Italy?"',
        'nightschool ask --blend science=0.7,creative=0.3 "Tell me of the moon."',
    )
)
@click.argument("text", metavar="TEXT|-")
@slot_option
@click.option("--conversation", type=click.IntRange(min=1), metavar="N", help="Go on with this conversation.")
@click.option(
    "--blend", type=Weights(), metavar="SLOT=WEIGHT,...", help="Speak with several slots at once, for this reply."
)
@sampling_options
@talks
async def ask(
    desk: Desk,
    text: str,
    slot: str | None,
    conversation: int | None,
    blend: dict[str, float] | None,
    **sampling: Any,
) -> None:
    """Ask something; the reply streams to stdout.

    - reads the question from stdin. Ctrl+c stops the reply; what was said until then is kept.
    """
    question, chosen = text_of(text), sampling_of(sampling)
    if slot is not None and conversation is not None:
        raise UsageError("A conversation has its slot already; give --slot or --conversation, not both.")
    number = conversation or (await desk.ask(CreateConversation(slot=(await desk.slot(slot)).name))).id
    answer = _Answer(desk, number)
    try:
        weights = None if blend is None else await named_weights(desk, blend)
        await answer.stream(SendMessage(conversation=number, text=question, sampling=chosen, blend=weights))
    finally:
        if conversation is None and not answer.stored:
            with contextlib.suppress(NightSchoolError):
                await desk.ask(DeleteConversation(conversation=number))  # nothing was said in it


@dataclass
class _Answer:
    """A reply on its way to stdout."""

    desk: Desk
    conversation: int
    said: str = ""
    stored: bool = False
    unheard: bool = False
    """Whether the reader of stdout has left."""
    signals: list[SignalEvent] = field(default_factory=list)
    traffic: TrafficFacts | None = None
    """What it cost on the way to a provider elsewhere."""

    async def stream(self, request: SendMessage) -> None:
        """Write the reply as it comes, then what was noted; a stop is passed on after the engine has stopped too."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[Event | None] = asyncio.Queue()

        def hear(event: Event) -> None:
            loop.call_soon_threadsafe(heard.put_nowait, event)

        work = asyncio.ensure_future(self.desk.ask(request, hear))
        work.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (event := await heard.get()) is not None:
                self._hear(event)
            reply = await work
            self._give(reply)
        except BrokenPipeError:
            self.unheard = True
            await self._stop(work, heard)
            raise
        except asyncio.CancelledError:
            await self._stop(work, heard)
            if work.done() and not work.cancelled() and work.exception() is None:
                self._give(work.result())
            raise
        except NightSchoolError:
            self._end_line()
            raise
        if reply.finish is Finish.FAILED:
            raise ChatError("The reply broke off, and what was said is kept; ask again, or run `nightschool doctor`.")

    def _hear(self, event: Event) -> None:
        match event:
            case DeltaEvent(text=text):
                self.said += text
                if not (self.desk.as_json or self.unheard):
                    self.desk.write(text)
            case MessageEvent():
                self.stored = True
            case SignalEvent():
                self.signals.append(event)
            case TrafficEvent(traffic=traffic):
                self.traffic = traffic
            case _:
                pass

    async def _stop(self, work: asyncio.Task[Message], heard: asyncio.Queue[Event | None]) -> None:
        """Stop the reply and show what else was said: what is kept is also shown."""
        with contextlib.suppress(NightSchoolError):
            await self.desk.ask(CancelReply(conversation=self.conversation))
        self._drain(heard)
        # Before the question is stored there is nothing to keep: the engine may still be waking.
        _, running = await asyncio.wait({work}, timeout=CANCEL_SECONDS if self.stored else 0.0)
        self._drain(heard)
        for task in running:
            task.cancel()

    def _drain(self, heard: asyncio.Queue[Event | None]) -> None:
        while not heard.empty():
            event = heard.get_nowait()
            if event is not None:
                self._hear(event)

    def _end_line(self) -> None:
        if self.said and not self.desk.as_json and not self.said.endswith("\n"):
            self.desk.write("\n")

    def _give(self, reply: Message) -> None:
        if self.desk.as_json:
            self.desk.give(
                {
                    "conversation": reply.conversation,
                    "message": reply.id,
                    "reply": reply.text,
                    "finish": reply.finish,
                    "tokens": reply.tokens,
                    "version": reply.version,
                    **({} if self.traffic is None else {"traffic": self.traffic}),
                    **noted(self.signals),
                },
                (),
            )
            return
        if not self.said:
            self.said = reply.text
            self.desk.write(reply.text)
        self._end_line()
        if reply.finish is Finish.LENGTH:
            self.desk.note("The reply reached its length limit; --max-tokens raises it.")
        if reply.finish is Finish.CANCELLED:
            self.desk.note("Stopped; what was said is kept.")
        tell_noted(self.desk, self.signals)
        if sys.stderr.isatty():
            self.desk.note(f"conversation {reply.conversation}, message {reply.id}")
            if self.traffic is not None:
                self.desk.note(traffic_words(self.traffic, 200))


@click.command(
    epilog=examples(
        "nightschool edit 12",
        'nightschool edit 12 --text "Captain, the capital of France is Paris."',
        "sed s/Hello/Hi/ reply.txt | nightschool edit 12 -",
    )
)
@click.argument("message", type=click.IntRange(min=1))
@click.argument("source", metavar="[-]", type=click.Choice(["-"]), required=False)
@click.option("--text", metavar="TEXT", help="What the reply should have been.")
@talks
async def edit(desk: Desk, message: int, source: str | None, text: str | None) -> None:
    """Correct a reply: put it in your own words.

    The slot learns from it. The new text comes from --text, from stdin (-), or from $EDITOR.
    """
    if source is not None and text is not None:
        raise UsageError("Give the new text with --text or on stdin (-), not both.")
    wording = text if text is not None else text_of(source) if source is not None else await _edited(desk, message)
    signals: list[SignalEvent] = []
    changed = await desk.ask(
        EditReply(message=message, text=wording),
        lambda event: signals.append(event) if isinstance(event, SignalEvent) else None,
    )
    desk.give({"message": changed, **noted(signals)}, [f"Message {changed.id} is now in your words."])
    tell_noted(desk, signals)


async def _edited(desk: Desk, number: int) -> str:
    """Return a reply as the user left it in the editor."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("An editor needs a terminal; give the new text with --text or on stdin (-).")
    before = (await _message(desk, number)).text
    desk.status.clear()
    after = click.edit(before, extension=".md")
    if after is not None and not before.endswith("\n"):
        after = after.removesuffix("\n")  # editors end the last line
    if after is None or after == before:
        raise UsageError("The text was left as it was, so there is nothing to learn; change and save it.")
    return after


async def _message(desk: Desk, number: int) -> Message:
    """Return a message by its number alone, from the latest conversations to the oldest.

    Raises:
        NotFound: If it is nobody's, or the user's own.
    """
    async for conversation in all_conversations(desk):
        last = await desk.ask(ListMessages(conversation=conversation.id, before=number + 1, limit=1))
        if last and last[0].id == number:
            if last[0].role is Role.ASSISTANT:
                return last[0]
            raise UsageError(f"Message {number} is your own; only replies can be edited.")
    raise NotFound(f"There is no message {number}; `nightschool conversations show N` gives their numbers.")


@click.command(epilog=examples("nightschool undo 31"))
@click.argument("signal", type=click.IntRange(min=1))
@talks
async def undo(desk: Desk, signal: int) -> None:
    """Take a signal back.

    The lesson it alone gave goes with it; an edited reply gets its text back.
    """
    taken = await desk.ask(UndoSignal(signal=signal))
    desk.give(taken, [f"Signal {taken.id} ({taken.kind.value}) is taken back."])


# -- what was noted ---------------------------------------------------------------------------------------------------


def noted(signals: list[SignalEvent]) -> dict[str, Any]:
    """Return signals and their lessons as parts of a document."""
    lessons = [event.lesson for event in signals if event.lesson is not None]
    return {"lessons": lessons, "signals": [event.signal for event in signals]}


def tell_noted(desk: Desk, signals: list[SignalEvent]) -> None:
    """Say beside the data what was noted, and the way back."""
    if desk.as_json:
        return
    for event in signals:
        what = event.signal.kind.value if event.lesson is None else lesson_line(event.lesson)
        desk.note(f"Noted {what}; `nightschool undo {event.signal.id}` takes it back.")


def text_of(given: str) -> str:
    """Return the text that was given, or all of stdin for ``-``.

    Raises:
        UsageError: If it is empty, or stdin is not UTF-8 text.
    """
    if given == "-":
        try:
            given = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError("Standard input is not UTF-8 text; convert it first.") from error
    if not given.strip():
        raise UsageError("There is no text; give some, or - to read it from standard input.")
    return given
