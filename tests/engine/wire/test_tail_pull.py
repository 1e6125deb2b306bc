"""A tail from a server over real HTTP: what fits is kept and goes on after any end, what does not fit is not kept."""

from __future__ import annotations

import json
import shutil

import huggingface_hub
import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.installed import installed, leftovers
from nightschool.engine.base.library import load
from nightschool.engine.paths import Home
from nightschool.engine.settings import ServerSettings
from nightschool.engine.wire import tail_pull
from nightschool.engine.wire.client import Client
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.engine.wire.server.tails import Body, Tails
from nightschool.engine.wire.tail_asked import Wanted
from nightschool.engine.wire.tail_pull import pull_tail
from nightschool.plugins.providers.remote import examined
from nightschool.schemas.errors import (
    BadFrame,
    BaseMismatch,
    DiskFull,
    ModelDamaged,
    ModelNotFound,
    PeerRefused,
    Unauthorised,
    UnsupportedFamily,
    UsageError,
)
from nightschool.tests.hub_server import COMMIT, FakeHub
from nightschool.tests.serving import CUT, running
from nightschool.tests.tiny import save_tiny


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("served") / "tiny", "llama")


async def pull(home, url, *, told=None, key_file="", **wanted):
    server = ServerSettings(url=url, key_file=str(key_file))

    async def prove(base):
        await examined(base, server, base.cut)

    return await pull_tail(Wanted(server, **wanted), home, told or (lambda *_: None), prove)


def tail_logits(base, cut=CUT):
    states = torch.randn(9, base.card.width, generator=torch.Generator().manual_seed(3))
    tail = open_tail(base, cut)
    with torch.inference_mode():
        return tail.head(tail.sequences([states])[0])


def alike(base, other):
    """Whether two tails compute the same: their heads may lie otherwise in memory, which decides the last bit."""
    return torch.allclose(tail_logits(base), tail_logits(other), atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "tied", "qwen3", "mistral", "deepseek_v3"])
async def test_what_comes_is_the_tail_of_the_base_and_no_more(home, tmp_path, family):
    changes = {"tie_word_embeddings": True} if family == "tied" else {}
    whole = save_tiny(tmp_path / "whole", "llama" if family == "tied" else family, **changes)
    with running(whole, tmp_path) as server:
        pulled = await pull(home, server.url)
        base = load(pulled.folder)
        assert (base.upper, base.cut, pulled.upper) == (CUT, CUT, CUT)
        assert base.card == server.base.card.model_copy(update={"source": ""})
        assert alike(base, load(whole))
    assert pulled.tail < pulled.whole
    beside = sum((pulled.folder / name).stat().st_size for name in ("config.json", "tokenizer.json"))
    assert pulled.tail + beside < pulled.moved
    (found,) = installed(home)
    assert (found.folder, found.upper, found.trouble) == (pulled.folder, CUT, "")
    assert str(tmp_path / "whole") not in (pulled.folder / "card.json").read_text(), "a path of the server came along"


async def test_what_is_here_is_not_fetched_again(home, tmp_path, folder):
    with running(folder, tmp_path) as server:
        first = await pull(home, server.url)
        again = await pull(home, server.url)
    assert again.folder == first.folder
    assert again.moved < first.moved - first.tail


@pytest.mark.parametrize("end", ["lost", "changed"])
async def test_a_pull_that_was_cut_off_goes_on_where_it_ended(home, tmp_path, folder, monkeypatch, end):
    monkeypatch.setattr(tail_pull, "_TRIES", 1)
    with running(folder, tmp_path) as server:
        whole = await pull(Home(tmp_path / "other"), server.url)
        break_off(monkeypatch, Broken(whole.tail // 2))
        with pytest.raises(Exception, match=r"cannot be reached|stopped in the middle"):
            await pull(home, server.url)
        ((part, size),) = leftovers(home).values()
        assert size > whole.tail // 2
        weights = part / "model.safetensors"
        if end == "changed":  # the last bytes did not reach the disk before the power went
            data = bytearray(weights.read_bytes())
            data[-1] ^= 1
            weights.write_bytes(data)
        monkeypatch.undo()
        pulled = await pull(home, server.url)
    assert pulled.moved < whole.moved - whole.tail // 4
    assert (pulled.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    assert not part.exists()


class Broken:
    """Breaks off after so many bytes of tensors, again and again or so many times."""

    def __init__(self, each, times=1 << 30):
        self.each = self.left = each
        self.times, self.send = times, Body.pieces

    async def pieces(self, body, first, stop):
        async for piece in self.send(body, first, stop):
            if body.path is not None and self.times:
                if self.left < len(piece):
                    yield piece[: self.left]
                    self.left, self.times = self.each, self.times - 1
                    raise ConnectionError
                self.left -= len(piece)
            yield piece


def break_off(monkeypatch, broken):
    monkeypatch.setattr(Body, "pieces", lambda body, first, stop: broken.pieces(body, first, stop))


async def test_a_lost_connection_is_taken_up_again_by_itself(home, tmp_path, folder, monkeypatch):
    with running(folder, tmp_path) as server:
        break_off(monkeypatch, Broken(20_000, times=3))
        pulled = await pull(home, server.url)
    assert alike(load(pulled.folder), load(folder))


async def test_a_tensor_that_is_not_the_one_of_the_list_is_not_kept(home, tmp_path, folder, monkeypatch):
    whole = (folder / "model.safetensors").read_bytes()

    class Lying(Broken):
        async def pieces(self, body, first, stop):
            async for piece in self.send(body, first, stop):
                yield piece if body.path is None or body.size < 2000 else bytes(len(piece))

    with running(folder, tmp_path) as server:
        break_off(monkeypatch, Lying(0))
        with pytest.raises(ModelDamaged, match="did not arrive as the list describes it"):
            await pull(home, server.url)
        monkeypatch.undo()
        assert installed(home) == []
        ((part, _),) = leftovers(home).values()
        data = (part / "model.safetensors").read_bytes()
        header = 8 + int.from_bytes(data[:8], "little")
        assert set(data[header:]) - {0} or len(data) == header
        assert not len(data) > header or data[header:] in whole or len(data) - header < 2000
        pulled = await pull(home, server.url)
    assert alike(load(pulled.folder), load(folder))


def lying_about(server, monkeypatch, change):
    """Let a server say something else of its contents."""
    honest = Tails.contents

    async def contents(tails):
        return change(await honest(tails))

    monkeypatch.setattr(Tails, "contents", contents)


async def test_a_list_that_is_not_the_fingerprint_is_refused_before_anything_is_fetched(
    home, tmp_path, folder, monkeypatch
):
    with running(folder, tmp_path) as server:

        def change(contents):
            entry = contents.tensors[0].model_copy(update={"sha256": "0" * 64})
            return contents.model_copy(update={"tensors": [entry, *contents.tensors[1:]]})

        lying_about(server, monkeypatch, change)
        with pytest.raises(BaseMismatch, match="is not the base that it names"):
            await pull(home, server.url)
    assert not home.models.exists() or not list(home.models.glob("*tail*"))


@pytest.mark.parametrize(
    ("name", "change", "error", "said"),
    [
        ("config.json", {"rms_norm_eps": 0.5}, BaseMismatch, "config_hash differ"),
        ("config.json", {"hidden_size": 64}, BaseMismatch, "hidden_size 64"),
        ("config.json", {"model_type": "gpt2"}, UnsupportedFamily, "not supported"),
        ("config.json", {"auto_map": {"AutoModel": "evil.py"}}, UnsupportedFamily, "brings its own code"),
        ("tokenizer_config.json", {"chat_template": "{{ 'do as I say' }}"}, BaseMismatch, "template_hash differ"),
    ],
)
async def test_files_that_are_not_those_of_the_fingerprint_are_refused_and_not_kept(
    home, tmp_path, folder, name, change, error, said
):
    changed = shutil.copytree(folder, tmp_path / "changed")
    (changed / "chat_template.jinja").unlink(missing_ok=True)
    with running(folder, tmp_path) as server:
        data = json.loads((folder / name).read_text()) | change
        (changed / name).write_text(json.dumps(data))
        if name == "config.json":
            shutil.copyfile(folder / "chat_template.jinja", changed / "chat_template.jinja")
        entries = list((await client_contents(server)).tensors)
        (changed / "tensors.json").write_text(json.dumps([entry.model_dump() for entry in entries]))
        tails = server.service._tails
        tails._folder, tails._reading = changed, None
        with pytest.raises(error, match=said):
            await pull(home, server.url)
    assert installed(home) == []
    assert leftovers(home) == {}, "something of it was kept"


async def client_contents(server):
    client = Client(server.url)
    try:
        return await client.contents()
    finally:
        await client.aclose()


async def test_a_trunk_that_is_not_the_one_of_the_tail_is_refused_and_nothing_is_kept(home, tmp_path, folder):
    with running(folder, tmp_path) as server, running(save_tiny(tmp_path / "other", seed=9), tmp_path) as other:
        # It says that it is the base, and computes another.
        other.service.served = other.service._checks._served = server.service.served
        with pytest.raises(BaseMismatch, match="is not"):
            other.service._tails = server.service._tails
            await pull(home, other.url)
    assert installed(home) == []
    assert leftovers(home) == {}


async def test_the_fingerprint_can_be_demanded(home, tmp_path, folder):
    with running(folder, tmp_path) as server:
        with pytest.raises(BaseMismatch, match="not 000000"):
            await pull(home, server.url, fingerprint="000000")
        await pull(home, server.url, fingerprint=server.base.card.short)


@pytest.mark.parametrize(("cut", "said"), [(1, "computes for the cuts 2"), (5, "between 0 and 4")])
async def test_a_cut_that_the_server_does_not_compute_is_refused(home, tmp_path, folder, cut, said):
    with running(folder, tmp_path) as server, pytest.raises(UsageError, match=said):
        await pull(home, server.url, cut=cut)


async def test_without_a_word_the_cut_is_one_that_the_server_computes(home, tmp_path, folder):
    with running(folder, tmp_path, cuts=(1, 3)) as server:
        assert (await pull(home, server.url)).upper == 1
        assert (await pull(home, server.url, cut=3)).upper == 3
    assert [one.upper for one in installed(home)] == [1, 3]


async def test_a_full_disk_is_said_before_the_weights_are_asked_for(home, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 5, 5))
    with running(folder, tmp_path) as server, pytest.raises(DiskFull, match="--cut"):
        await pull(home, server.url)


async def test_a_server_that_gives_no_tail_says_so(home, tmp_path, folder):
    with running(folder, tmp_path, gives_tail=False) as server:
        with pytest.raises(UsageError, match="gives no tail"):
            await pull(home, server.url)
        with pytest.raises(PeerRefused, match="gives no tail"):
            await client_contents(server)


async def test_a_key_is_needed_where_the_server_has_keys(home, tmp_path, folder):
    keys = {"one": Allowance(), "none": Allowance(tails=0)}
    with running(folder, tmp_path, keys=keys) as server:
        with pytest.raises(Unauthorised):
            await pull(home, server.url)
        file = tmp_path / "key"
        file.write_text(server.keys["none"])
        with pytest.raises(UsageError, match="gives no tail"):
            await pull(home, server.url, key_file=file)
        file.write_text(server.keys["one"])
        await pull(home, server.url, key_file=file)


async def test_a_list_that_names_a_file_of_another_kind_has_no_such_file_written(home, tmp_path, folder, monkeypatch):
    with running(folder, tmp_path) as server:

        def change(contents):
            first = contents.files[0]
            more = [first.model_copy(update={"name": name}) for name in ("model.safetensors.index.json", "run.py")]
            return contents.model_copy(update={"files": [*contents.files, *more]})

        lying_about(server, monkeypatch, change)
        pulled = await pull(home, server.url)
    assert not {"model.safetensors.index.json", "run.py"} & {path.name for path in pulled.folder.iterdir()}


async def test_a_file_beside_of_impossible_size_is_not_asked_for(home, tmp_path, folder, monkeypatch):
    with running(folder, tmp_path) as server:

        def change(contents):
            large = [file.model_copy(update={"size": 200 << 20}) for file in contents.files]
            return contents.model_copy(update={"files": large})

        lying_about(server, monkeypatch, change)
        with pytest.raises(BadFrame, match="which is none"):
            await pull(home, server.url)


# -- weights from the hub ---------------------------------------------------------------------------------------------


@pytest.fixture
def fake_hub(monkeypatch, folder):
    """A hub with the model that is served, its weights in several files."""
    with FakeHub(folder) as serving:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", serving.address)
        template = serving.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield serving


async def test_weights_from_the_hub_are_those_of_the_servers_list_and_no_more_is_asked_for(
    home, tmp_path, folder, fake_hub
):
    with running(folder, tmp_path) as server:
        pulled = await pull(home, server.url, hub=f"owner/tiny@{COMMIT}")
        here = await pull(Home(tmp_path / "other"), server.url)
    assert (pulled.folder / "model.safetensors").read_bytes() == (here.folder / "model.safetensors").read_bytes()
    assert {name for name, _, _ in fake_hub.parts} == {"model.safetensors"}
    header, *tensors = [stop - first for _, first, stop in fake_hub.parts[1:]]
    assert sum(tensors) == pulled.tail, "something else than the tail was asked for"
    assert len(tensors) < 10, "neighbours are asked for one by one"
    assert header < 10_000


async def test_a_hub_that_breaks_off_is_asked_for_the_rest(home, tmp_path, folder, fake_hub):
    size = (folder / "model.safetensors").stat().st_size
    fake_hub.break_at, fake_hub.breaks = size - 20_000, 1
    with running(folder, tmp_path) as server:
        pulled = await pull(home, server.url, hub="owner/tiny")
    assert fake_hub.breaks == 0
    assert alike(load(pulled.folder), load(folder))


async def test_other_weights_of_the_same_shape_on_the_hub_are_refused(home, tmp_path, folder, fake_hub):
    fake_hub.folder = save_tiny(tmp_path / "other", "llama", seed=5)
    with (
        running(folder, tmp_path) as server,
        pytest.raises(ModelDamaged, match="did not arrive as the list describes it"),
    ):
        await pull(home, server.url, hub="owner/tiny")
    assert installed(home) == []


async def test_a_hub_without_ranges_is_not_asked_for_all(home, tmp_path, folder, fake_hub):
    fake_hub.ranges = False
    with running(folder, tmp_path) as server, pytest.raises(ModelNotFound, match="gives no parts"):
        await pull(home, server.url, hub="owner/tiny")
    assert fake_hub.sent < 2 * (folder / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("name", "text"), [("tokenizer.json", "{"), ("generation_config.json", '{"eos_token_id": 9999}')]
)
async def test_files_that_are_listed_so_and_yet_no_base_are_not_kept(home, tmp_path, folder, name, text):
    changed = shutil.copytree(folder, tmp_path / "changed")
    with running(folder, tmp_path) as server:
        (changed / name).write_text(text)
        entries = list((await client_contents(server)).tensors)
        (changed / "tensors.json").write_text(json.dumps([entry.model_dump() for entry in entries]))
        tails = server.service._tails
        tails._folder, tails._reading = changed, None
        with pytest.raises(BaseMismatch, match="is none"):
            await pull(home, server.url)
    assert installed(home) == [] and leftovers(home) == {}
