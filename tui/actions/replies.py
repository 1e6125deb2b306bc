"""Saying something, and what can be done with a reply: stop, again, edit, rate, copy."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ...schemas.errors import BaseMismatch, NightSchoolError
from ...schemas.messages import CancelReply, Copied, CreateConversation, EditReply, Regenerate, SendMessage, Thumb
from ...schemas.records import Message, Role
from ..talk import Talk, draft
from . import bases

if TYPE_CHECKING:
    from ..screens.chat import ChatScreen
    from ..widgets.message import MessageView

ANSWERING = "answering · esc stops"


# -- when -------------------------------------------------------------------------------------------------------------


def has_target(screen: ChatScreen) -> bool:
    """A stored reply is selected, or is the last one; and none is being edited."""
    return not screen.editing and screen.target() is not None


def has_message(screen: ChatScreen) -> bool:
    """There is something to copy."""
    return not screen.editing and (screen.selected() or screen.target()) is not None


def can_cancel(screen: ChatScreen) -> bool:
    """A reply is being written here."""
    return screen.talk is not None and not screen.editing


def can_regenerate(screen: ChatScreen) -> bool:
    """The conversation has a reply and none is being written."""
    return screen.talk is None and screen.session.ready and has_target(screen)


# -- say --------------------------------------------------------------------------------------------------------------


def send(screen: ChatScreen, text: str) -> None:
    """Say something in the open conversation; while the engine wakes the words wait for it."""
    if screen.talk is not None:
        screen.tell("A reply is still being written; press escape to stop it.", "warning")
        return
    if screen.session.engine.state == "failed":
        screen.tell(screen.session.engine.error or "The engine could not wake; see `nightschool doctor`.", "error")
        return
    screen.prompt.take()
    conversation = screen.session.conversation
    talk = Talk(said=text, conversation=conversation.id if conversation else 0, forward=screen.told)
    screen.talks[talk.conversation] = talk
    screen.run_worker(_exchange(screen, talk), group="talk", exit_on_error=True)


def regenerate(screen: ChatScreen) -> None:
    """Answer again in place of the last reply."""
    conversation = screen.session.conversation
    if conversation is None:
        return
    talk = Talk(said=None, conversation=conversation.id, forward=screen.told)
    screen.talks[talk.conversation] = talk
    screen.run_worker(_exchange(screen, talk), group="talk", exit_on_error=True)


async def _exchange(screen: ChatScreen, talk: Talk) -> None:
    """Show an exchange, have it answered, and leave the screen true whatever happens."""
    slot = screen.session.slot_name
    title = screen.session.title_of(slot)
    screen.session.traffic = None
    if talk.said is None:
        last = screen.transcript.views[-1]
        if last.is_reply:  # else the last question has no reply yet
            talk.replaced = last.message
            await last.remove()
    else:
        talk.said_view = await screen.transcript.add(draft(Role.USER, talk.said, talk.conversation), title)
    screen.transcript.anchor()
    await attach(screen, talk)
    try:
        await screen.until_ready()
        slot = slot or screen.session.slot_name
        if talk.reply_view is not None:
            talk.reply_view.slot = screen.session.title_of(slot)
            talk.reply_view.say_doing(ANSWERING)
        if talk.conversation == 0:
            await _begin(screen, talk, slot)
        request = (
            Regenerate(conversation=talk.conversation)
            if talk.said is None
            else SendMessage(conversation=talk.conversation, text=talk.said)
        )
        reply = await screen.link.call(request, talk.hear)
    except NightSchoolError as error:
        await _failed(screen, talk, error)
    else:
        if talk.reply_view is not None and talk.reply_view.is_attached:
            talk.reply_view.finish(reply)
        screen.talks.pop(talk.conversation, None)
    screen.changed()
    await screen.refresh_library()


async def _begin(screen: ChatScreen, talk: Talk, slot: str) -> None:
    """Make the conversation that the first message needs."""
    conversation = await screen.link.call(CreateConversation(slot=slot))
    screen.talks.pop(0, None)
    talk.conversation = conversation.id
    screen.talks[conversation.id] = talk
    if screen.session.conversation is None and screen.session.slot_name == slot:
        screen.session.conversation = conversation


async def attach(screen: ChatScreen, talk: Talk) -> None:
    """Show the reply as it comes, at the end of the open conversation."""
    title = screen.session.title_of(screen.session.slot_name)
    talk.reply_view = await screen.transcript.add(draft(Role.ASSISTANT, talk.heard, talk.conversation), title)
    talk.reply_view.start_stream()
    talk.reply_view.say_doing(ANSWERING if screen.session.ready else "waiting for the engine · esc takes it back")
    screen.changed()


async def _failed(screen: ChatScreen, talk: Talk, error: NightSchoolError) -> None:
    """Say why there is no reply; the words go back to the prompt, and the screen shows what is stored."""
    screen.talks.pop(talk.conversation, None)
    if talk.said is not None:
        screen.prompt.give_back(talk.said)
    screen.tell(str(error), "error")
    if isinstance(error, BaseMismatch) and screen.session.slot is not None:
        screen.begin(bases.offer(screen, screen.session.slot))
    conversation = screen.session.conversation
    shown = conversation.id if conversation else 0
    if shown != talk.conversation:
        return
    if talk.reply_view is not None and talk.reply_view.is_attached:
        await talk.reply_view.remove()
    if talk.said_view is not None and talk.said_view.is_attached and talk.said_view.message.id == 0:
        await talk.said_view.remove()
    if talk.replaced is not None:
        await screen.transcript.add(talk.replaced, screen.session.title_of(screen.session.slot_name))
    elif not screen.transcript.views:
        await screen.show_welcome()


async def cancel(screen: ChatScreen) -> None:
    """Stop the reply; one that still waits for the engine is given back."""
    talk = screen.talk
    if talk is None:
        return
    if talk.conversation == 0 or not screen.session.ready:
        screen.stop_waiting()
        return
    with screen.errors_told():
        await screen.link.call(CancelReply(conversation=talk.conversation))


# -- teach ------------------------------------------------------------------------------------------------------------


async def edit(screen: ChatScreen) -> None:
    """Open the reply for rewriting, in its place."""
    view = screen.target()
    if view is not None:
        await view.edit()
        screen.changed()


async def edit_outside(screen: ChatScreen) -> None:
    """Open the reply in the user's own editor."""
    view = screen.target()
    if view is None:
        return
    program = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not program:
        screen.tell("Set $EDITOR to edit outside, or press ctrl+e to edit here.", "warning")
        return
    folder = Path(tempfile.mkdtemp(prefix="nightschool-"))
    file = folder / "reply.md"
    try:
        file.write_text(view.message.text, encoding="utf-8")
        with screen.app.suspend():
            done = subprocess.run([*shlex.split(program), str(file)], check=False)  # noqa: S603  the user's editor
        text = file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError) as error:
        screen.tell(f"The editor could not be used: {error}.", "error")
        return
    finally:
        file.unlink(missing_ok=True)
        folder.rmdir()
    if done.returncode:
        screen.tell(f"The editor ended with {done.returncode}; the reply stays as it was.", "warning")
    else:
        await save_edit(screen, view.message, text)


async def save_edit(screen: ChatScreen, message: Message, text: str) -> bool:
    """Hand the user's wording to the engine; False, with the reason told, where it is refused."""
    text = text.strip()
    if not text:
        screen.tell("A reply cannot be empty; rate it with ctrl+b instead.", "warning")
        return False
    if text == message.text.strip():
        return True
    with screen.errors_told():
        edited = await screen.link.call(EditReply(message=message.id, text=text), screen.told)
        view = screen.transcript.view_of(message.id)
        if view is not None:
            view.replace(edited)
        await screen.refresh_slots()
        return True
    return False


async def thumb_up(screen: ChatScreen) -> None:
    """Rate the reply good."""
    await _thumb(screen, 1)


async def thumb_down(screen: ChatScreen) -> None:
    """Rate the reply bad."""
    await _thumb(screen, -1)


async def _thumb(screen: ChatScreen, value: int) -> None:
    view = screen.target()
    if view is None:
        return
    with screen.errors_told():
        again = view.message.thumb == value
        request = Thumb(message=view.message.id, value=0 if again else value)
        view.replace(await screen.link.call(request, screen.told))
        await screen.refresh_slots()


async def copy(screen: ChatScreen) -> None:
    """Copy the selected message, or the last reply: system clipboard first, else through the terminal (OSC 52)."""
    view: MessageView | None = screen.selected() or screen.target()
    if view is None:
        return
    import pyperclip

    text = view.message.text
    try:
        await asyncio.to_thread(pyperclip.copy, text)
    except pyperclip.PyperclipException:
        screen.app.copy_to_clipboard(text)
    screen.tell("Copied.")
    if view.message.role is Role.ASSISTANT and view.message.id:
        with screen.errors_told():
            await screen.link.call(Copied(message=view.message.id), screen.told)
