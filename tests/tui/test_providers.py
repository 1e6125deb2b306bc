"""Servers elsewhere: the screen, the price of a reply on the status line, and the commands."""

import io
import json

import pytest
from textual.widgets import Input, OptionList, Static

from nightschool.schemas.messages import AddProvider, PullTail
from nightschool.schemas.providers import KnownProvider, TrafficFacts
from nightschool.schemas.records import Finish
from nightschool.tui.commands import command
from nightschool.tui.traffic_words import traffic_words
from nightschool.tui.widgets.status_line import StatusLine

HOME = KnownProvider(name="home", url="https://gpu.home", kl_budget=1e-4)
FACTS = TrafficFacts(
    provider="home", tokens=40, tokens_per_second=12.3, bytes_per_token=1640.0, agreement=0.8, round_trips=9, saved=31
)


async def opened_screen(app, until):
    command("providers").run(app.chat)
    await until(lambda: type(app.screen).__name__ == "ProvidersScreen" and app.screen.query(OptionList))
    await until(lambda: app.screen.query_one(OptionList).option_count)
    return app.screen


def rows(screen):
    options = screen.query_one(OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


def found(screen):
    return str(screen.query_one("#found > Static", Static).content)


def status(app):
    return str(app.chat.query_one(StatusLine).content)


async def test_a_server_is_named_measured_chosen_and_forgotten(opened, engine, until):
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        assert len(rows(screen)) == 1 and "this machine" in rows(screen)[0]
        await pilot.press("a")
        await until(lambda: type(app.screen).__name__ == "ProviderForm" and app.screen.query("#budget"))
        app.screen.query_one("#name", Input).value = "home"
        app.screen.query_one("#url", Input).value = "https://gpu.home"
        app.screen.query_one("#token", Input).value = "secret"
        app.screen.query_one("#budget", Input).value = "1e-4"
        assert app.screen.query_one("#token", Input).password
        await pilot.press("ctrl+s")
        await until(lambda: app.screen is screen and len(rows(screen)) == 2)
        (asked,) = [request for request in engine.asked if isinstance(request, AddProvider)]
        assert (asked.token, asked.kl_budget) == ("secret", 1e-4)
        assert "secret" not in repr(asked)
        await pilot.press("down", "t")
        await until(lambda: "i8h64" in found(screen) and "8.25" in found(screen))
        await pilot.press("u")
        await until(lambda: engine.used == ["home"] and rows(screen)[1].startswith("●"))
        await pilot.press("d")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen" and app.screen.query("#yes"))
        await pilot.press("ctrl+s")
        await until(lambda: "use local first" in found(screen))
        await pilot.press("up", "u")
        await until(lambda: engine.used == ["local"])
        await pilot.press("down", "d")
        await until(lambda: type(app.screen).__name__ == "ConfirmScreen" and app.screen.query("#yes"))
        await pilot.press("ctrl+s")
        await until(lambda: app.screen is screen and len(rows(screen)) == 1)


async def test_the_tail_of_a_servers_base_is_fetched_while_the_chat_goes_on(opened, engine, until):
    engine.providers["home"] = HOME
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await until(lambda: len(rows(screen)) == 2)
        await pilot.press("f")
        await pilot.pause()
        assert app.screen is screen, "this machine has no tail to give"
        await pilot.press("down", "f")
        await until(lambda: any(isinstance(request, PullTail) for request in engine.asked))
        await until(lambda: engine.bases.get("Large-70B-tail8-0123abcd") and app.session.pull is None)
        toasts = [toast.message for toast in app._notifications]
        assert any("Large-70B, last 8 blocks, is here" in toast for toast in toasts), toasts
        assert app.screen is app.chat and app.session.pull is None
        (asked,) = [request for request in engine.asked if isinstance(request, PullTail)]
        assert (asked.server, asked.cut, asked.use) == ("home", None, False)


async def test_a_form_that_cannot_be_a_server_says_so(opened, engine, until):
    async with opened() as (app, pilot):
        await opened_screen(app, until)
        await pilot.press("a")
        await until(lambda: type(app.screen).__name__ == "ProviderForm" and app.screen.query("#budget"))
        app.screen.query_one("#name", Input).value = "home"
        app.screen.query_one("#url", Input).value = "https://gpu.home"
        app.screen.query_one("#budget", Input).value = "little"
        await pilot.press("ctrl+s")
        await until(lambda: "a number" in str(app.screen.query_one("#wrong", Static).content))


async def test_this_slot_alone_computes_there(opened, engine, until):
    engine.providers["home"] = HOME
    async with opened() as (app, pilot):
        await until(lambda: app.chat.session.slot)
        screen = await opened_screen(app, until)
        await pilot.press("down", "s")
        await until(lambda: engine.slots["science"].provider == "home" and "Science" in rows(screen)[1])
        await pilot.press("s")
        await until(lambda: engine.slots["science"].provider == "" and "Science" not in rows(screen)[1])


async def test_studies_compute_there_only_after_a_yes(opened, engine, until):
    engine.providers["home"] = HOME
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        for key in ("escape", "ctrl+s"):
            await pilot.press("end", "n")
            await until(lambda: type(app.screen).__name__ == "ConfirmScreen" and app.screen.query("#yes"))
            assert engine.studied_at == ["local"]
            await pilot.press(key)
            await until(lambda: app.screen is screen)
        await until(lambda: engine.studied_at == ["home"] and "studies" in rows(screen)[1])
        await pilot.press("home", "n")
        await until(lambda: engine.studied_at == ["local"] and "studies" not in rows(screen)[1])


@pytest.mark.parametrize("width", [120, 60, 40])
async def test_the_status_line_says_what_a_reply_elsewhere_costs(opened, engine, until, width):
    engine.providers["home"], engine.used = HOME, ["home"]
    engine.hold.clear()
    async with opened(size=(width, 30)) as (app, pilot):
        await pilot.press("h", "i", "enter")
        await until(lambda: "⇄ home 12.5 tok/s" in status(app))
        assert len(status(app)) <= width - 4
        assert ("trips saved" in status(app)) == (width == 120)
        engine.hold.set()
        await until(lambda: app.chat.talk is None)
        engine.used = ["local"]
        await pilot.press("h", "o", "enter")
        await until(lambda: "⇄" not in status(app))


def test_words_about_a_reply_are_left_out_from_the_end():
    whole = traffic_words(FACTS, 200)
    assert whole == "⇄ home 12.3 tok/s · 1.6 kB/tok · 80% agreed · 31 trips saved"
    assert traffic_words(FACTS, 40) == "⇄ home 12.3 tok/s · 1.6 kB/tok"
    assert all(len(traffic_words(FACTS, room)) <= room for room in range(80))
    assert "agreed" not in traffic_words(FACTS.model_copy(update={"agreement": None}), 200)


def test_ask_says_what_it_cost_where_it_computed_elsewhere(document, engine):
    assert "traffic" not in document("ask", "Hello?")
    engine.providers["home"], engine.used = HOME, ["home"]
    said = document("ask", "Hello?")
    assert said["finish"] == Finish.STOP
    assert {"provider", "tokens_per_second", "bytes_per_token", "agreement", "saved"} <= said["traffic"].keys()


def test_a_server_is_added_chosen_and_removed(call, document, tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text("# mine\nmemory = false # why\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    said = document("providers", "add", "home", "https://gpu.home", "--token", "-", "--kl-budget", "1e-4", "--use")
    assert said["provider"] == ["home"]
    key = tmp_path / "provider-keys" / "home.key"
    assert key.read_text() == "secret\n" and key.stat().st_mode & 0o777 == 0o600
    assert "secret" not in config.read_text() and "# mine\nmemory = false # why\n" in config.read_text()
    assert call("providers", "add", "home", "https://other")[0] == 2
    assert call("providers", "add", "local", "https://other")[0] == 2
    assert call("providers", "add", "bad", "http://gpu.home")[0] == 2
    assert call("providers", "use", "nobody")[0] == 3
    assert call("providers", "remove", "home")[0] == 2
    assert document("providers", "use", "home", "local")["provider"] == ["home", "local"]
    assert "home" in call("providers")[1]
    assert document("providers", "use", "local")["provider"] == ["local"]
    assert document("providers", "remove", "home")["servers"] == []
    assert not key.exists() and config.read_text() == "# mine\nmemory = false # why\n"
    assert call("providers", "remove", "home")[0] == 3


def test_a_server_is_told_what_shall_carry_its_tokens(call, document, tmp_path):
    said = document("providers", "add", "home", "https://gpu.home", "--carrier", "http")
    assert said["servers"][0]["carrier"] == "http"
    assert 'carrier = "http"' in (tmp_path / "config.toml").read_text()
    assert document("providers", "add", "other", "https://gpu.home")["servers"][1]["carrier"] == "auto"
    assert call("providers", "add", "third", "https://gpu.home", "--carrier", "pigeon")[0] == 2


def test_a_server_that_a_slot_needs_stays(call, document, tmp_path):
    document("providers", "add", "home", "https://gpu.home")
    slot = tmp_path / "slots" / "lab"
    (slot / "versions").mkdir(parents=True)
    (slot / "slot.json").write_text(json.dumps({"title": "Lab", "provider": "home", "created": 1.0}))
    code, _, said = call("providers", "remove", "home")
    assert code == 2 and "lab" in said
    assert document("providers")["servers"][0]["slots"] == ["lab"]


def test_a_slot_is_told_where_to_compute(document, engine):
    engine.providers["home"] = HOME
    assert document("slots", "set", "science", "--provider", "home")["provider"] == "home"


def test_an_engine_of_others_is_named_with_its_kind(call, document, tmp_path):
    said = document("providers", "add", "box", "https://box", "--kind", "llama.cpp")
    assert said["servers"][0]["kind"] == "llama.cpp"
    assert "llama.cpp, final" in call("providers")[1]
    code, _, told = call("providers", "add", "other", "https://box", "--kind", "ollama")
    assert code == 2 and "only hsp, llama.cpp, sglang, vllm" in told
    code, _, told = call("providers", "test", "box", "--describe")
    assert code == 2 and "--describe" in told
    assert call("providers", "use", "box", "local")[0] == 2


async def test_an_engine_of_others_is_named_on_the_screen(opened, engine, until):
    async with opened() as (app, pilot):
        screen = await opened_screen(app, until)
        await pilot.press("a")
        await until(lambda: type(app.screen).__name__ == "ProviderForm" and app.screen.query("#budget"))
        app.screen.query_one("#name", Input).value = "box"
        app.screen.query_one("#url", Input).value = "https://box"
        app.screen.query_one("#kind", Input).value = "VLLM?"
        await pilot.press("ctrl+s")
        await until(lambda: "kind" in str(app.screen.query_one("#wrong", Static).content))
        app.screen.query_one("#kind", Input).value = "vllm"
        await pilot.press("ctrl+s")
        await until(lambda: app.screen is screen and len(rows(screen)) == 2 and "vllm, final states" in rows(screen)[1])
        await pilot.press("down", "t")
        await until(lambda: "cannot speak there" in found(screen))
