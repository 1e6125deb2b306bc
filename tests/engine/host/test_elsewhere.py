"""A slot computes where it says; what was read goes on at another provider; what that costs is told."""

import pytest

from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.size import default_cut
from nightschool.engine.base.speed import Speed
from nightschool.engine.chat.chat import Turn
from nightschool.engine.chat.traffic import Traffic
from nightschool.engine.host.costs import EVERY, Costs
from nightschool.engine.host.elsewhere import names_of
from nightschool.engine.host.model_thread import ModelThread
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.settings import ServerSettings, Settings, add_server, choose_provider, read_settings
from nightschool.schemas.errors import BaseMismatch, NotFound, RemoteError, UsageError
from nightschool.schemas.messages import (
    AddProvider,
    ExamineProvider,
    ListProviders,
    RemoveProvider,
    Sampling,
    UpdateSlot,
    UseProviders,
)
from nightschool.schemas.records import Role
from nightschool.tests.serving import running
from nightschool.tests.tiny import save_tiny

LOCAL = ("local",)


@pytest.fixture(autouse=True)
def here_in_fp32(monkeypatch, home):
    """Both sides in the same numbers: a random base says something else after the smallest rounding."""

    def found(machine, device):
        return Speed(one=Numbers.FP32, many=Numbers.FP32, one_ms={"fp32": 1.0}, many_ms={"fp32": 1.0}, machine=machine)

    monkeypatch.setattr("nightschool.engine.base.speed.probe", found)
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(home.root))


@pytest.fixture
def server(tiny_base_folder, tmp_path):
    with running(tiny_base_folder, tmp_path, cuts=(default_cut(4),)) as server:
        yield server


def started(home, folder):
    model = ModelThread(home, str(folder), PluginHost.load(third_party=False), lambda status: None)
    model.start()
    return model


def asking(home, names, turns):
    async def ask(model):
        through = await model.through(names, read_settings(home))
        return await model.chat.reply(
            1,
            turns,
            system="",
            adapter=None,
            sampling=Sampling(max_tokens=16, temperature=0),
            on_text=lambda text: None,
            cancelled=lambda: False,
            through=through,
        )

    return ask


def test_a_slot_that_says_nothing_computes_as_the_profile():
    there = Settings(provider=("gpu", "local"), servers={"gpu": ServerSettings(url="https://gpu")})
    assert names_of("", there) == ("gpu", "local")
    assert names_of("local", there) == LOCAL
    assert names_of("", Settings()) == LOCAL


async def test_a_conversation_goes_on_at_another_provider_and_says_the_same(home, tiny_base_folder, server):
    add_server(home, "gpu", ServerSettings(url=server.url, codec="f32"))
    model, alone = started(home, tiny_base_folder), started(home, tiny_base_folder)
    turns = [Turn(Role.USER, "Say something.")]
    for names in (LOCAL, ("gpu",), LOCAL, ("gpu", "local")):
        base = (await model.model()).base
        reply = await model.do(asking(home, names, turns))
        assert reply == await alone.do(asking(home, LOCAL, turns))
        assert (reply.traffic.moved > 0) == (names != LOCAL)
        assert (await model.model()).base is base
        turns += [Turn(Role.ASSISTANT, reply.text), Turn(Role.USER, "Go on.")]


async def test_each_provider_is_proven_before_it_answers(home, tiny_base_folder, tmp_path):
    with running(save_tiny(tmp_path / "other", seed=9), tmp_path, cuts=(default_cut(4),)) as other:
        add_server(home, "gpu", ServerSettings(url=other.url))
        model = started(home, tiny_base_folder)
        turns = [Turn(Role.USER, "Say something.")]
        with pytest.raises(BaseMismatch):
            await model.do(asking(home, ("gpu",), turns))
        assert (await model.do(asking(home, LOCAL, turns))).text


async def test_one_whose_settings_changed_is_opened_anew(home, tiny_base_folder, server):
    add_server(home, "gpu", ServerSettings(url=server.url))
    model = await started(home, tiny_base_folder).model()
    first = await model.through(("gpu",), read_settings(home))
    assert await model.through(("gpu",), read_settings(home)) is first
    home.config.write_text(home.config.read_text() + 'codec = "f32"\n')
    assert await model.through(("gpu",), read_settings(home)) is not first


@pytest.mark.parametrize(("budget", "codecs"), [(0.0, ("f32", "f16s")), (1e9, ("i4h64",))])
async def test_a_budget_chooses_the_codec_and_is_measured_once(
    home, tiny_base_folder, server, budget, codecs, wait_until
):
    def captures():
        return sum('"capture"' in line for line in server.journal.getvalue().splitlines())

    add_server(home, "gpu", ServerSettings(url=server.url, kl_budget=budget))
    model = await started(home, tiny_base_folder).model()
    for total in (1 + 7, 1 + 7 + 1):  # the probe; the widest and each codec, the first time
        through = await started(home, tiny_base_folder).do(lambda model: model.through(("gpu",), read_settings(home)))
        assert through.provider._line.writing.codec in codecs
        await wait_until(lambda total=total: captures() >= total)  # a line may come after the answer it is about
        assert captures() == total
    found = await model.examine(read_settings(home).servers["gpu"], None)
    assert found.chosen in codecs and len(found.codecs) == 6


async def test_what_a_reply_costs_is_told_now_and_then():
    now, told = [0.0], []
    costs = Costs(7, "gpu", told.append, clock=lambda: now[0])
    traffic = Traffic(tokens=10, round_trips=3, read=1, moved=5000, seconds=2.0, guessed=8, agreed=6)
    for _ in range(10):
        costs.now_and_then(traffic)
        now[0] += EVERY / 4
    assert len(told) == 2
    facts = told[0].traffic
    assert (facts.tokens_per_second, facts.bytes_per_token, facts.agreement) == (5.0, 500.0, 0.75)
    assert facts.saved == 10 - 1 - 2


def test_nothing_was_spared_where_each_token_was_waited_for():
    assert Traffic(tokens=10, round_trips=12, read=3).saved == 0
    assert Traffic().facts("gpu").agreement is None


async def test_the_service_names_chooses_and_forgets(desk):
    row = await desk.ask(AddProvider(name="gpu", url="https://gpu.home", token="secret"))
    assert (row.name, row.used) == ("gpu", False)
    await desk.ask(UpdateSlot(name="science", provider="gpu"))
    with pytest.raises(UsageError, match="science"):
        await desk.ask(RemoveProvider(name="gpu"))
    with pytest.raises(NotFound):
        await desk.ask(UpdateSlot(name="science", provider="nobody"))
    await desk.ask(UpdateSlot(name="science", provider=""))
    assert (await desk.ask(UseProviders(names=["gpu", "local"]))).provider == ["gpu", "local"]
    await desk.ask(UseProviders(names=["local"]))
    known = await desk.ask(UseProviders(names=["gpu"], studies=True))
    assert (known.provider, known.study_provider, known.servers[0].studies) == (["local"], ["gpu"], True)
    with pytest.raises(UsageError, match="Studies compute at gpu"):
        await desk.ask(RemoveProvider(name="gpu"))
    await desk.ask(UseProviders(names=["local"], studies=True))
    await desk.ask(RemoveProvider(name="gpu"))
    assert (await desk.ask(ListProviders())).servers == []


async def test_where_no_plugin_knows_servers_that_is_said(desk):
    with pytest.raises(Exception, match="remote"):
        await desk.ask(ExamineProvider(server="http://127.0.0.1:1"))


async def test_the_way_of_a_reply_elsewhere_is_told_and_of_one_here_is_not(desk):
    desk.chat.traffic = Traffic(tokens=3)
    await desk.say("Hello?", await desk.conversation())
    assert desk.events("reply.traffic") == []
    await desk.ask(AddProvider(name="gpu", url="https://gpu.home"))
    choose_provider(desk.home, ["gpu"])
    await desk.say("Hello?", await desk.conversation())
    assert [event.traffic.provider for event in desk.events("reply.traffic")] == ["gpu"]


async def test_a_server_that_is_away_ends_the_reply_with_its_reason(home, tiny_base_folder):
    add_server(home, "gpu", ServerSettings(url="http://127.0.0.1:1"))
    choose_provider(home, ["local"])
    model = started(home, tiny_base_folder)
    through = await model.do(lambda model: model.through(LOCAL, read_settings(home)))
    assert through.name == "local"
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:1"):
        await model.do(lambda model: model.through(("gpu", "gpu"), read_settings(home)))
