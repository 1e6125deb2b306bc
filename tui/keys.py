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
        Key(
            "v", "preview", "Before/after", "See the same questions answered before and after the selected generation."
        ),
        Key("p", "pin", "Pin", "Keep the selected generation whatever a clean-up removes, or no longer."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "preview": (
        Key("a", "activate", "Activate", "Let the generation answer from now on; ctrl+u in the chat takes that back."),
        Key("o", "ask", "Ask", "Ask both something of your own."),
        Key("s", "stop", "Stop", "Stop both."),
        Key("escape", "back", "Back", "Back; everything stays as it is."),
    ),
    "market": (
        Key("up,down", "", "Choose", "Go through the slots."),
        Key("enter", "", "Install", "Install the highlighted slot."),
        Key("ctrl+b", "base", "Base", "Show slots for the model that answers alone, or for any."),
        Key("ctrl+t", "tag", "Tag", "Show slots with one tag alone."),
        Key("ctrl+l", "licence", "Licence", "Show slots under one licence alone."),
        Key("ctrl+r", "refresh", "Refresh", "Read what is new in the registries."),
        Key("ctrl+o", "registries", "Registries", "Add, refresh and forget registries."),
        Key("pageup", "turn_page(-1)", "Page up", "Scroll the card up."),
        Key("pagedown", "turn_page(1)", "Page down", "Scroll the card down."),
        Key("escape", "back", "Back", "Back to the chat; an installation goes on."),
    ),
    "registries": (
        Key("a", "add", "Add", "Add a registry: a folder or an address; you compare its fingerprint first."),
        Key("r", "refresh", "Refresh", "Read what is new in the highlighted registry."),
        Key("d,delete", "forget", "Forget", "Ask the highlighted registry no more; what it revoked stays so."),
        Key("escape", "back", "Back", "Back to the market."),
    ),
    "install": (
        Key("ctrl+s", "take", "Install", "Download it, check it, and try it at the gates."),
        Key("ctrl+x", "cancel", "Stop", "Stop it; nothing of it is kept."),
        Key("escape", "back", "Back", "Back to the market; an installation goes on."),
    ),
    "installed": (
        Key("u", "update", "Update", "Take what is newer than the highlighted slot."),
        Key("b", "preview", "Before/after", "See the same questions before and after the highlighted slot answers."),
        Key("h", "hold", "Hold", "Leave the highlighted slot out of updates, or no longer."),
        Key("v", "verify", "Verify", "Hash everything again, and look whether any of it was revoked."),
        Key("t", "again", "Take again", "Take what is damaged again from its registry."),
        Key("d,delete", "discard", "Remove", "Remove the highlighted slot; for 30 days it can be brought back."),
        Key("r", "refresh", "Refresh", "Read what is new in the registries."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "trust": (
        Key("p", "take", "Pin", "Believe a publisher from its public file, or follow one to its new keys."),
        Key("d,delete", "forget", "Forget", "Forget the highlighted publisher: it is new again."),
        Key("pageup", "turn_page(-1)", "Page up", "Scroll what is known of it up."),
        Key("pagedown", "turn_page(1)", "Page down", "Scroll what is known of it down."),
        Key("escape", "back", "Back", "Back to the chat."),
    ),
    "publish": (
        Key("ctrl+s", "onward", "Next", "Go on to the next step."),
        Key("a", "accept", "Accept", "Let others have what the audit found and is highlighted, or no longer."),
        Key("f", "forget", "Forget", "Train the slot anew without the lesson that the highlighted finding is of."),
        Key("escape", "back", "Back", "One step back; at the first one, leave. Nothing is written half."),
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
    "choose": (Key("escape", "back", "Cancel", "Leave everything as it was."),),
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
    "preview": "On the screen of replies before and after",
    "market": "On the market screen",
    "registries": "On the registries screen",
    "install": "On the installation screen",
    "installed": "On the screen of what came from others",
    "trust": "On the publishers screen",
    "publish": "While publishing",
    "quality": "On the quality screen",
    "models": "On the models screen",
    "providers": "On the providers screen",
    "plugins": "On the plugins screen",
    "said": "On what a plugin's command says",
    "import": "On the import screen",
    "search": "On the search screen",
    "choose": "In a list to choose from",
    "form": "In a form",
    "blend": "On the blend screen",
    "compare": "On the comparison screen",
    "away": "On the screen of slots out of sight",
    "help": "On the help screen",
}


def bindings_of(part: str) -> list[tuple[str, str, str]]:
    """Return key, action and label of the keys of one part; keys that its widget handles itself are left out."""
    return [(row.key, row.action, row.label) for row in KEYS[part] if row.action]
