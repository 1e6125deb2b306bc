"""Every command of the chat screen, once: bindings, footer, palette and help are all made from this table.

The keys of one part only (a list, a dialog, the editor of a reply) stand in ``keys``. A test compares both tables with
what the screens bind and what the help shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .actions import conversations, elsewhere, learning, market, plugins, replies, slots, view

if TYPE_CHECKING:
    from .screens.chat import ChatScreen


def always(screen: ChatScreen) -> bool:
    """Available at any time."""
    return True


@dataclass(frozen=True)
class Command:
    """Something the user can ask for."""

    id: str
    label: str
    """Two words at most; the footer shows it."""
    help: str
    group: str
    run: Callable[[ChatScreen], Awaitable[None] | None]
    keys: str = ""
    """Comma-separated; empty: only in the palette."""
    when: Callable[[ChatScreen], bool] = always
    footer: bool = False
    on_message: str = ""
    """A single key that does the same while a message is selected."""


COMMANDS: tuple[Command, ...] = (
    Command(
        "reply.edit",
        "Edit",
        "Rewrite the reply as it should have been; your wording becomes a lesson.",
        "Teach",
        replies.edit,
        "ctrl+e",
        replies.has_target,
        footer=True,
        on_message="e",
    ),
    Command(
        "reply.external",
        "Open in editor",
        "Rewrite the reply in $VISUAL or $EDITOR.",
        "Teach",
        replies.edit_outside,
        "ctrl+o",
        replies.has_target,
        on_message="o",
    ),
    Command(
        "reply.good",
        "Good",
        "Thumb up; once more takes it back.",
        "Teach",
        replies.thumb_up,
        "ctrl+g",
        replies.has_target,
        footer=True,
        on_message="g",
    ),
    Command(
        "reply.bad",
        "Bad",
        "Thumb down; once more takes it back.",
        "Teach",
        replies.thumb_down,
        "ctrl+b",
        replies.has_target,
        footer=True,
        on_message="b",
    ),
    Command(
        "undo",
        "Undo",
        "Take back the last mark, lesson or deletion (in the prompt: while it is empty).",
        "Teach",
        learning.undo,
        "ctrl+u",
        learning.can_undo,
        footer=True,
        on_message="u",
    ),
    Command(
        "lessons",
        "Lessons",
        "Read, approve, re-word or dismiss what was noted.",
        "Teach",
        learning.lessons,
        "f2",
        footer=True,
    ),
    Command(
        "memory",
        "Memory",
        "Read, add to, re-word or forget what is known of you.",
        "Teach",
        learning.memory,
    ),
    Command(
        "study",
        "Study",
        "Learn the approved lessons now, and read the report.",
        "Teach",
        learning.study,
        "f5",
        footer=True,
    ),
    Command(
        "versions",
        "Versions",
        "The generations of the slot, their reports, and the way back.",
        "Teach",
        learning.versions,
        "f4",
    ),
    Command(
        "quality",
        "Quality",
        "How good the generations of the slot were: lessons followed, corrections, distance to the base.",
        "Teach",
        learning.quality,
        "alt+q",
    ),
    Command(
        "reply.cancel",
        "Stop",
        "Stop the reply; what was said stays.",
        "Chat",
        replies.cancel,
        "escape",
        replies.can_cancel,
        footer=True,
    ),
    Command(
        "reply.again",
        "Again",
        "Answer again in place of the last reply.",
        "Chat",
        replies.regenerate,
        "ctrl+r",
        replies.can_regenerate,
        on_message="r",
    ),
    Command(
        "reply.copy",
        "Copy",
        "Copy the reply (or the selected message) to the clipboard.",
        "Chat",
        replies.copy,
        "ctrl+y",
        replies.has_message,
        on_message="y",
    ),
    Command("message.previous", "Select up", "Select the message above.", "Chat", view.select_up, "ctrl+up"),
    Command(
        "message.next",
        "Select down",
        "Select the message below; after the last, write again.",
        "Chat",
        view.select_down,
        "ctrl+down",
    ),
    Command("prompt.focus", "Write", "Go back to the prompt.", "Chat", view.write, "escape", view.can_write),
    Command("page.up", "Page up", "Scroll the conversation up.", "Chat", view.page_up, "pageup", view.can_scroll),
    Command(
        "page.down", "Page down", "Scroll the conversation down.", "Chat", view.page_down, "pagedown", view.can_scroll
    ),
    Command(
        "conversation.new",
        "New",
        "Begin a new conversation in this slot.",
        "Conversations",
        conversations.new,
        "ctrl+n",
        footer=True,
    ),
    Command(
        "conversation.search",
        "Search",
        "Search all conversations.",
        "Conversations",
        conversations.search,
        "f3",
        footer=True,
    ),
    Command(
        "conversation.import",
        "Import",
        "Bring conversations from ChatGPT, Claude and other chats.",
        "Conversations",
        conversations.bring,
    ),
    Command(
        "conversation.rename",
        "Rename",
        "Give the conversation another title.",
        "Conversations",
        conversations.rename,
        "f6",
        conversations.has_one,
    ),
    Command(
        "conversation.delete",
        "Delete",
        "Put the conversation away; ctrl+u brings it back.",
        "Conversations",
        conversations.delete,
        "f9",
        conversations.has_one,
    ),
    Command(
        "conversation.previous",
        "Newer",
        "Open the conversation above in the list.",
        "Conversations",
        conversations.newer,
        "alt+up",
    ),
    Command(
        "conversation.next",
        "Older",
        "Open the conversation below in the list.",
        "Conversations",
        conversations.older,
        "alt+down",
    ),
    Command("slot.next", "Next slot", "Go to the next slot.", "Slots", slots.following, "ctrl+t"),
    Command("slot.new", "New slot", "Make a slot of your own.", "Slots", slots.new, "f7"),
    Command(
        "slot.settings",
        "Slot settings",
        "Title, description, system prompt and temperature of the slot.",
        "Slots",
        slots.settings,
        "f8",
    ),
    Command(
        "slot.blend",
        "Blend",
        "Speak with several slots at once, each with a weight.",
        "Slots",
        slots.blend,
    ),
    Command(
        "slot.compare",
        "Compare",
        "Ask two slots the same, side by side.",
        "Slots",
        slots.compare,
    ),
    Command(
        "slot.teach",
        "Teach model",
        "Learn what the slot knows on another model, too, from its lessons.",
        "Slots",
        elsewhere.teach,
    ),
    Command(
        "slot.bring",
        "Bring adapter",
        "Try a PEFT LoRA from a folder or the Hugging Face hub as a new generation of the slot.",
        "Slots",
        elsewhere.bring,
    ),
    Command(
        "slot.publish",
        "Publish",
        "Put what the slot has learned on the Hugging Face hub; shows first what goes out.",
        "Slots",
        elsewhere.publish,
    ),
    Command(
        "slot.archive",
        "Archive slot",
        "Put the slot out of sight; it keeps everything and is not studied at night.",
        "Slots",
        slots.archive,
    ),
    Command(
        "slot.delete",
        "Delete slot",
        "Delete the slot with its conversations and lessons; for 30 days it can be brought back.",
        "Slots",
        slots.delete,
    ),
    Command(
        "slot.away",
        "Slots away",
        "The archived and the deleted slots, and the way back for each.",
        "Slots",
        slots.away,
    ),
    Command(
        "slot.clean",
        "Clean up",
        "Remove from the disk what nothing needs; says first what that is.",
        "Slots",
        slots.clean_up,
    ),
    Command(
        "market",
        "Market",
        "Search the slots of other people, look at them and install one.",
        "Market",
        market.browse,
        "alt+k",
    ),
    Command(
        "installed",
        "From others",
        "What was installed: what is newer, whether it is whole; hold it, or remove it.",
        "Market",
        market.installed,
    ),
    Command(
        "trust",
        "Trust",
        "Which publishers you believe: keys in words and digits, how they changed; pin or forget one.",
        "Market",
        market.trust,
    ),
    Command(
        "publish",
        "Publish",
        "Give a version of a slot to others: its card, what it could give away, your signature, a registry.",
        "Market",
        market.publish,
    ),
    Command("models", "Models", "Choose, fetch or remove the model that answers.", "App", view.models, "alt+m"),
    Command(
        "providers",
        "Providers",
        "Choose, add, test or remove servers that compute the lower blocks elsewhere.",
        "App",
        view.providers,
    ),
    Command(
        "plugins",
        "Plugins",
        "The plugins of others: how each stands, what it did wrong; trust one, turn one on or off.",
        "App",
        plugins.manage,
    ),
    Command("help", "Help", "Every key and what it does.", "App", view.show_help, "f1", footer=True),
    Command("palette", "Palette", "Find a command by name.", "App", view.palette, "ctrl+p"),
    Command("sidebar", "Sidebar", "Show or hide the left side.", "App", view.toggle_sidebar, "ctrl+l"),
    Command("theme", "Theme", "Choose colours; the choice is kept.", "App", view.theme, "f10"),
    Command(
        "screenshot",
        "Save screen",
        "Save the screen as an SVG picture in the current folder.",
        "App",
        view.save_screen,
        "f12",
    ),
    Command("quit", "Quit", "Leave; nothing is lost.", "App", view.leave, "ctrl+q"),
)


def command(name: str) -> Command:
    """Return a command by its id."""
    return next(row for row in COMMANDS if row.id == name)


def command_bindings() -> list[tuple[str, str, str, bool]]:
    """Return key, action, label and footer of every command that has a key."""
    return [(row.keys, f"command('{row.id}')", row.label, row.footer) for row in COMMANDS if row.keys]


def message_bindings() -> list[tuple[str, str, str]]:
    """Return key, action and label of the keys of a selected message."""
    return [(row.on_message, f"screen.command('{row.id}')", row.label) for row in COMMANDS if row.on_message]
