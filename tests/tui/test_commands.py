"""The registry, the bindings, the help and the palette say the same."""

import importlib
import pkgutil

from textual.dom import DOMNode

import nightschool.tui.screens
import nightschool.tui.widgets
from nightschool.tui.commands import COMMANDS, command
from nightschool.tui.keys import KEYS, PARTS, bindings_of
from nightschool.tui.screens.chat import ChatScreen
from nightschool.tui.screens.help import help_text

OWNERS = {
    "prompt": ("widgets.prompt", "Prompt"),
    "editor": ("widgets.reply_editor", "ReplyEditor"),
    "earlier": ("widgets.transcript", "Earlier"),
    "conversations": ("widgets.sidebar", "Conversations"),
    "lessons": ("screens.lessons", "LessonsScreen"),
    "memory": ("screens.memory", "MemoryScreen"),
    "study": ("screens.study", "StudyScreen"),
    "versions": ("screens.versions", "VersionsScreen"),
    "preview": ("screens.preview", "PreviewScreen"),
    "market": ("screens.market", "MarketScreen"),
    "registries": ("screens.registries", "RegistriesScreen"),
    "install": ("screens.install", "InstallScreen"),
    "choose": ("screens.ask", "ChooseScreen"),
    "installed": ("screens.installed", "InstalledScreen"),
    "trust": ("screens.trust", "TrustScreen"),
    "publish": ("screens.publish", "PublishScreen"),
    "quality": ("screens.quality", "QualityScreen"),
    "models": ("screens.models", "ModelsScreen"),
    "providers": ("screens.providers", "ProvidersScreen"),
    "plugins": ("screens.plugins", "PluginsScreen"),
    "said": ("screens.said", "SaidScreen"),
    "import": ("screens.import_chats", "ImportScreen"),
    "search": ("screens.search", "SearchScreen"),
    "form": ("screens.slot_form", "SlotForm"),
    "blend": ("screens.blend", "BlendScreen"),
    "compare": ("screens.compare", "CompareScreen"),
    "away": ("screens.away", "AwayScreen"),
    "help": ("screens.help", "HelpScreen"),
}


def own_classes():
    for package in (nightschool.tui.screens, nightschool.tui.widgets):
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, DOMNode) and value.__module__ == module.__name__:
                    yield value


def bound(cls):
    return {(binding.key, binding.action) for binding in cls.__dict__.get("BINDINGS", [])}


def test_every_key_of_every_screen_and_widget_stands_in_the_registry():
    known = {(row.keys, f"command('{row.id}')") for row in COMMANDS if row.keys}
    known |= {(row.on_message, f"screen.command('{row.id}')") for row in COMMANDS if row.on_message}
    known |= {(row.key, row.action) for rows in KEYS.values() for row in rows}
    for cls in own_classes():
        assert bound(cls) <= known, cls.__name__


def test_every_command_and_key_of_the_registry_is_bound():
    assert bound(ChatScreen) == {(row.keys, f"command('{row.id}')") for row in COMMANDS if row.keys}
    assert OWNERS.keys() == KEYS.keys() == PARTS.keys()
    for part, (module, name) in OWNERS.items():
        cls = getattr(importlib.import_module(f"nightschool.tui.{module}"), name)
        assert bound(cls) == {(key, action) for key, action, _ in bindings_of(part)}
        for row in KEYS[part]:
            action = row.action.split("(")[0]
            assert not action or hasattr(cls, f"action_{action}"), (part, action)


def test_the_help_shows_every_key_with_its_words():
    text = " ".join(help_text(200).plain.split())
    for row in COMMANDS:
        assert row.help in text
        assert row.keys.replace(",", ", ") in text
    for rows in KEYS.values():
        for row in rows:
            assert row.help in text
            assert row.key.replace(",", ", ") in text


def test_no_key_means_two_things_at_once():
    keys = [(key, row.id) for row in COMMANDS for key in row.keys.split(",") if key]
    twice = {key for key, _ in keys if sum(key == other for other, _ in keys) > 1}
    assert twice == {"escape"}  # stop a reply, else back to the prompt
    letters = [row.on_message for row in COMMANDS if row.on_message]
    assert len(letters) == len(set(letters))


async def test_the_palette_offers_what_is_available_and_only_that(opened):
    async with opened() as (app, _):
        labels = {row.title for row in app.get_system_commands(app.screen)}
        assert any("Lessons" in label for label in labels)
        assert not any("Edit" in label for label in labels)
        for row in app.get_system_commands(app.screen):
            assert callable(row.callback)


async def test_help_opens_and_closes_with_f1(opened, until):
    async with opened(size=(80, 24)) as (app, pilot):
        await pilot.press("f1")
        await until(lambda: type(app.screen).__name__ == "HelpScreen")
        await pilot.press("f1")
        await until(lambda: app.screen is app.chat)


async def test_a_screen_picture_is_saved(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with opened() as (app, _):
        command("screenshot").run(app.chat)
        [picture] = tmp_path.glob("nightschool-*.svg")
        assert "Night&#160;School" in picture.read_text(encoding="utf-8")


async def test_the_theme_is_kept(opened, until, tmp_path):
    from nightschool.tui.settings import Settings

    file = tmp_path / "app.json"
    async with opened(settings=Settings(file)) as (app, _):
        assert app.theme == "night-school"
        app.theme = "nord"
        await until(file.exists)
    assert Settings(file).theme == "nord"
    file.write_text("{", encoding="utf-8")
    assert Settings(file).theme == "night-school"
