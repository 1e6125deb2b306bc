"""The keys of the parts of the app: a list, a dialog, the editor of a reply."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key of one part of the app."""

    key: str
    action: str
    """An action of the part itself."""
    label: str
    help: str


KEYS: dict[str, tuple[Key, ...]] = {
    "prompt": (
        Key("enter", "send", "Send", "Send the message."),
        Key("shift+enter,ctrl+j,alt+enter", "newline", "New line", "Begin a new line."),
        Key("up,down", "", "History", "At the first or last line: what you sent before."),
    ),
    "editor": (
        Key("ctrl+s", "save", "Save", "Keep your wording; it becomes a lesson."),
        Key("escape", "leave", "Leave", "Leave the reply as it was."),
        Key("ctrl+home", "go('start')", "To the start", "To the very beginning of the reply."),
        Key("ctrl+end", "go('end')", "To the end", "To the very end of the reply."),
    ),
    "earlier": (Key("enter", "load", "Load", "Load earlier messages (also with a click)."),),
    "conversations": (
        Key("r", "ask('rename')", "Rename", "Rename the highlighted conversation."),
        Key("d,delete", "ask('delete')", "Delete", "Put the highlighted conversation away."),
    ),
    "lessons": (
        Key("a", "approve", "Approve", "Learn it with the next study."),
        Key("d", "set_aside", "Dismiss", "Do not learn it."),
        Key("e,enter", "reword", "Re-word", "Say the rule in other words."),
        Key("x", "forget", "Forget", "Train the slot anew without a learned lesson."),
        Key("m", "merge", "Merge", "Let it count for the others that say the same."),
        Key("t", "end", "Until", "Say when it ends to count."),
        Key("f", "filter", "Show all", "Show all lessons, or only those that wait."),
        Key("f5", "study", "Study", "Learn the approved lessons now."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "memory": (
        Key("a", "add", "Add", "Remember something."),
        Key("e,enter", "reword", "Re-word", "Put the highlighted note in other words."),
        Key("d,delete", "drop", "Forget", "Remove the highlighted note."),
        Key("t", "teach", "Teach", "Make a lesson of the highlighted note, for the slot of the chat."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "study": (
        Key("enter", "start", "Start", "Begin the study."),
        Key("c", "cancel", "Cancel", "Stop the study; the slot stays as it is."),
        Key("f4", "versions", "Versions", "See the generations of the slot."),
        Key("escape", "back", "Back", "Back to the chat; a study goes on."),
    ),
    "versions": (
        Key(
            "r",
            "rollback",
            "Roll back",
            "Make the selected generation the current one; from the current one, the one before it.",
        ),
        Key("p", "pin", "Pin", "Keep the selected generation whatever a clean-up removes, or no longer."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "quality": (Key("escape", "back", "Back", "Back to the chat."),),
    "models": (
        Key("p", "pull", "Fetch", "Download the selected model; what a stopped download left is used."),
        Key("o", "other", "Another", "Fetch one by its name on the hub, a folder or a .gguf file."),
        Key("u", "use", "Use", "Let the selected model answer from now on."),
        Key("d,delete", "discard", "Remove", "Remove the selected model from the disk."),
        Key("c", "cancel", "Cancel", "Stop the download."),
        Key("escape", "back", "Back", "Back to the chat; a download goes on."),
    ),
    "providers": (
        Key("a", "add", "Add", "Name a server that computes elsewhere."),
        Key("t", "measure", "Test", "Say how far it is, whether it is the base, and what its codecs cost."),
        Key("u", "use", "Use", "Compute there from the next reply on."),
        Key("s", "slot", "This slot", "Let this slot alone compute there; once more, as the profile does."),
        Key("n", "study", "Studies", "Let studies compute there; it sees your corrections then."),
        Key("f", "fetch", "Fetch tail", "Fetch the last blocks of its base; the rest computes there."),
        Key("d,delete", "drop", "Remove", "Forget the highlighted server and its key."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "plugins": (
        Key("t", "trust", "Trust", "Let the code of the highlighted plugin run, as it is now."),
        Key("e", "enable", "Enable", "Turn the highlighted plugin on again."),
        Key("d", "disable", "Disable", "Turn the highlighted plugin off."),
        Key("pageup", "turn_page(-1)", "Page up", "Scroll what is known of it up."),
        Key("pagedown", "turn_page(1)", "Page down", "Scroll what is known of it down."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "said": (Key("escape", "back", "Back", "Back to the chat."),),
    "import": (
        Key("enter", "", "Look", "Say what the file would bring; nothing is stored."),
        Key("ctrl+t", "slot", "Slot", "Let another slot take the conversations."),
        Key("ctrl+s", "bring", "Import", "Import what was shown."),
        Key("ctrl+x", "cancel", "Stop", "Stop reading or importing; what is stored stays."),
        Key("escape", "back", "Back", "Back to the chat; an import goes on."),
    ),
    "search": (
        Key("up,down", "", "Choose", "Go through the results."),
        Key("enter", "", "Open", "Open the conversation at the message."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "form": (
        Key("ctrl+s", "save", "Save", "Keep what was entered."),
        Key("escape", "back", "Cancel", "Leave everything as it was."),
    ),
    "blend": (
        Key("right", "turn(1)", "More", "More of the highlighted slot, by a tenth."),
        Key("left", "turn(-1)", "Less", "Less of the highlighted slot, by a tenth."),
        Key("x", "alone", "Alone", "Let the slot speak with its own adapter alone."),
        Key("escape", "back", "Back", "Back to the chat; the next message is spoken so."),
    ),
    "compare": (
        Key("enter", "", "Ask", "Ask both; tab goes to the slots."),
        Key("escape", "back", "Back", "Stop them, once more back to the chat."),
    ),
    "away": (
        Key("b,enter", "bring_back", "Bring back", "Let the highlighted slot be in use again."),
        Key("d,delete", "discard", "Delete", "Delete the highlighted archived slot."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "help": (Key("escape,f1,q", "back", "Back", "Close the help."),),
}

PARTS = {
    "prompt": "In the prompt",
    "editor": "While editing a reply",
    "earlier": "On the line “earlier messages”",
    "conversations": "In the list of conversations",
    "lessons": "On the lessons screen",
    "memory": "On the memory screen",
    "study": "On the study screen",
    "versions": "On the versions screen",
    "quality": "On the quality screen",
    "models": "On the models screen",
    "providers": "On the providers screen",
    "plugins": "On the plugins screen",
    "said": "On what a plugin's command says",
    "import": "On the import screen",
    "search": "On the search screen",
    "form": "In a form",
    "blend": "On the blend screen",
    "compare": "On the comparison screen",
    "away": "On the screen of slots out of sight",
    "help": "On the help screen",
}


def bindings_of(part: str) -> list[tuple[str, str, str]]:
    """Return key, action and label of the keys of one part; keys that its widget handles itself are left out."""
    return [(row.key, row.action, row.label) for row in KEYS[part] if row.action]
