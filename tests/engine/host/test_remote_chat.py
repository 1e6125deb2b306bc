"""The engine answers with a trunk elsewhere, where the settings say so, and refuses one of another base."""

import pytest

from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.size import default_cut
from nightschool.engine.base.speed import Speed
from nightschool.engine.chat.chat import Turn
from nightschool.engine.host.model_thread import ModelThread
from nightschool.engine.host.plugins import PluginHost
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.schemas.errors import BaseMismatch, TailOnly
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role
from nightschool.tests.serving import running
from nightschool.tests.tails import save_tail
from nightschool.tests.tiny import save_tiny


@pytest.fixture(autouse=True)
def all_in_fp32(monkeypatch):
    """Both sides in the same numbers: a random base says something else after the smallest rounding."""

    def found(machine, device):
        return Speed(one=Numbers.FP32, many=Numbers.FP32, one_ms={"fp32": 1.0}, many_ms={"fp32": 1.0}, machine=machine)

    monkeypatch.setattr("nightschool.engine.base.speed.probe", found)


def ask(model):
    sampling = Sampling(max_tokens=16, temperature=0)
    turns = [Turn(Role.USER, "Say something.")]
    return model.chat.reply(
        1, turns, system="", adapter=None, sampling=sampling, on_text=lambda text: None, cancelled=lambda: False
    )


def started(home, folder):
    model = ModelThread(home, str(folder), PluginHost.load(third_party=False), lambda status: None)
    model.start()
    return model


def name_server(home, url):
    home.root.mkdir(parents=True, exist_ok=True)
    home.config.write_text(f'provider = "there"\n[servers.there]\nurl = "{url}"\ncodec = "f32"\n')


async def test_a_chat_computes_where_the_settings_say(home, tiny_base_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(home.root))
    here = started(home, tiny_base_folder)
    plain = await here.do(ask)
    with running(tiny_base_folder, tmp_path, cuts=(default_cut(4),)) as server:
        name_server(home, server.url)
        there = started(home, tiny_base_folder)
        model = await there.model()
        assert isinstance(model.provider, RemoteProvider)
        assert await there.do(ask) == plain
        assert len(server.service.sessions) == 1


async def test_a_server_of_another_base_is_refused(home, tiny_base_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(home.root))
    with running(save_tiny(tmp_path / "other", seed=9), tmp_path, cuts=(default_cut(4),)) as server:
        name_server(home, server.url)
        with pytest.raises(BaseMismatch, match="tensors_hash"):
            await started(home, tiny_base_folder).model()


@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
async def test_a_machine_that_has_only_the_tail_answers_as_one_that_has_all(home, tmp_path, monkeypatch, family):
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(home.root))
    whole = save_tiny(tmp_path / "whole", family)
    plain = await started(home, whole).do(ask)
    part = save_tail(whole, home.models / "tail", 2)
    with running(whole, tmp_path, cuts=(2,)) as server:
        with pytest.raises(TailOnly, match="choose a server"):
            await started(home, part).model()
        name_server(home, server.url)
        there = started(home, part)
        model = await there.model()
        assert (model.cut, model.base.upper) == (2, 2)
        assert await there.do(ask) == plain
