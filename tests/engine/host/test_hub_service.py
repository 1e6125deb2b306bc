"""Versions to a hub and adapters from it, over the real service and processes of their own, at a hub of the tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest
import yaml

from nightschool.engine.base.library import prepare
from nightschool.engine.slots.adapter import Adapter
from nightschool.schemas import messages as ask
from nightschool.schemas.audit import Audit, Finding
from nightschool.schemas.bundle import CardPart, SampleTurn
from nightschool.schemas.errors import (
    GivesAway,
    ModelDamaged,
    NotConfirmed,
    NotFound,
    PeerRefused,
    PullCancelled,
    Unauthorised,
    Unreachable,
    UsageError,
)
from nightschool.schemas.records import StudyState, VersionKind
from nightschool.tests import hub_repos
from nightschool.tests.hub_repos import READER, TOKEN, HubRepos

from .test_bundle_service import SECRET
from .test_bundle_service import learned as learn
from .test_portability_service import theirs as theirs

NAME = "ann/captain"
FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors"]


@pytest.fixture
def hub(monkeypatch):
    """A hub that processes started from here ask, with the publisher's token."""
    with HubRepos() as serving:
        monkeypatch.setenv("HF_ENDPOINT", serving.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield serving


@pytest.fixture
def audited(monkeypatch):
    """What audits find, the first time that they look."""
    findings = []

    async def run_audit(job, tell, pace=None):
        return Audit(slot=job.slot, number=job.study, strings=1, replies=9, findings=findings)

    monkeypatch.setattr("nightschool.engine.study.runner.run_audit", run_audit)
    return findings


@pytest.fixture
def learned(desk, audited, theirs, tiny_base, tiny_base_folder):
    """A generation of science that knows a lesson, on a base that lies in the profile."""
    prepare(str(tiny_base_folder), desk.home, lambda stage, fraction: None)
    return learn(desk, theirs, tiny_base.card.fingerprint)


def card(**more):
    said = {"title": "Captain", "summary": "Speaks as a sailor.", "language": ["en"], "tags": ["style"]}
    return CardPart(**{**said, "license": "CC-BY-4.0", "samples": [], "warnings": [], **more})


def publishing(**more):
    return ask.PublishVersion(**{"slot": "science", "repository": NAME, "card": card(), "base": "owner/tiny", **more})


def held(hub, name=NAME):
    return hub.repos[name].commits[hub.repos[name].head]


def head(page):
    return yaml.safe_load(page.decode().split("---\n")[1])


# -- to the hub -------------------------------------------------------------------------------------------------------


async def test_a_version_is_published_as_three_files_that_were_shown_before(desk, learned, hub):
    sample = SampleTurn(prompt="Hi?", before="Hi.", after="Ahoy ```you```.")
    request = publishing(card=card(samples=[sample]), text="More of it.")
    planned = await desk.ask(request.model_copy(update={"dry_run": True}))
    assert hub.repos == {} and planned.commit == ""
    done = await desk.ask(request)
    assert done.model_copy(update={"commit": "", "url": ""}) == planned
    assert (done.commit, done.url) == (hub.repos[NAME].head, f"{hub.address}/{NAME}")
    files = held(hub)
    assert sorted(name for name in files if name != ".gitattributes") == FILES
    assert {file.name: file.bytes for file in done.files} == {name: len(files[name]) for name in FILES}
    assert files["README.md"].decode() == planned.page
    assert hub.repos[NAME].messages[-1] == "Generation 1 of Science"
    said = head(files["README.md"])
    assert (said["base_model"], said["base_model_relation"], said["library_name"]) == ("owner/tiny", "adapter", "peft")
    assert (said["license"], said["language"], said["tags"]) == ("cc-by-4.0", ["en"], ["lora", "nightschool", "style"])
    assert "Ahoy ```you```." in planned.page and "````text" in planned.page and "More of it." in planned.page
    assert [event.spec for event in desk.events("model.pull")][-1] == NAME


async def test_nothing_that_was_taught_or_said_goes_out(desk, learned, hub):
    await desk.say(SECRET, await desk.conversation())
    await desk.ask(ask.UpdateSlot(name="science", system_prompt=SECRET, description=SECRET))
    await desk.ask(publishing())
    everything = b"".join(held(hub).values()) + json.dumps(hub.repos[NAME].messages).encode()
    assert b"| safety | yes | 0.01 | 0.1 |" in everything, "its figures do"
    assert not [word for word in (b"Ingrid", b"Elm", b"sister") if word in everything]


async def test_what_is_published_is_for_peft_what_it_was_here(desk, learned, hub, tiny_base_folder, tmp_path):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    await desk.ask(publishing())
    folder = tmp_path / "fetched"
    folder.mkdir()
    for name, data in held(hub).items():
        (folder / name).write_bytes(data)
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "owner/tiny"
    ids = torch.tensor([[3, 14, 15, 92, 65]])
    ours = AutoModelForCausalLM.from_pretrained(tiny_base_folder).eval()
    plain = ours(ids).logits
    for (layer, path), f in Adapter.load(desk.rooms.store.adapter_folder("science")).factors.items():
        ours.get_submodule(f"model.layers.{layer}.{path}").weight.data += f.up @ f.down
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base_folder).eval(), folder)
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, ours(ids).logits, rtol=1e-4, atol=1e-4)
    assert (plain - ours(ids).logits).abs().max() > 0.01


async def test_what_the_audit_finds_must_be_accepted_before_anything_goes_out(desk, learned, audited, hub):
    audited.append(Finding(name="12ab", kind="name", text="Ingrid", lesson=1))
    for dry_run in (True, False):
        with pytest.raises(GivesAway, match="12ab"):
            await desk.ask(publishing(dry_run=dry_run))
    assert hub.repos == {}
    assert (await desk.ask(publishing(accepted=["12ab"]))).commit


async def test_the_same_again_is_no_new_commit_and_sends_no_weights(desk, learned, hub):
    first = await desk.ask(publishing())
    assert len(hub.puts) == 1
    assert (await desk.ask(publishing())).commit == first.commit
    changed = await desk.ask(publishing(card=card(summary="Otherwise.")))
    assert changed.commit != first.commit and len(hub.puts) == 1


async def test_a_private_one_stays_private(desk, learned, hub):
    assert (await desk.ask(publishing(private=True))).private and hub.repos[NAME].private
    hub.repos[NAME].private = False
    with pytest.raises(NotConfirmed, match="everybody sees it"):
        await desk.ask(publishing(private=True, card=card(title="Other")))
    assert b"Other" not in held(hub)["README.md"]


@pytest.mark.parametrize(
    ("fail", "error", "words"),
    [
        ({"POST /api/repos/create": 403}, Unauthorised, "may not do this"),
        ({"POST /api/repos/create": 500}, Unreachable, "no time"),
        ({"POST /api/models/ann/captain/commit": 412}, PeerRefused, "changed by somebody else"),
        ({"POST /api/models/ann/captain/commit": 413}, UsageError, "more than the hub takes"),
        ({"PUT /blobs": 403}, Unauthorised, "may not do this"),
    ],
)
async def test_every_way_of_being_refused_has_its_sentence(desk, learned, hub, fail, error, words):
    hub.fail = fail
    with pytest.raises(error, match=words):
        await desk.ask(publishing())


async def test_a_head_that_the_hub_does_not_take_is_told_with_its_reason(desk, learned, hub):
    hub.yaml_errors = ['"license" must be one of the known']
    with pytest.raises(PeerRefused, match="must be one of the known"):
        await desk.ask(publishing())


async def test_who_is_not_logged_in_is_told_how(desk, learned, hub, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nobody"))
    with pytest.raises(Unauthorised, match="hf auth login"):
        await desk.ask(publishing())
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(Unauthorised, match="does not accept your token"):
        await desk.ask(publishing())


async def test_a_base_that_has_no_name_there_is_asked_for(desk, learned, hub):
    with pytest.raises(UsageError, match="--base-model"):
        await desk.ask(publishing(base=""))
    with pytest.raises(UsageError, match="owner/name"):
        await desk.ask(publishing(repository="../x"))


async def test_the_plain_base_is_not_published(desk, hub):
    with pytest.raises(UsageError, match="plain base"):
        await desk.ask(publishing())


# -- from the hub -----------------------------------------------------------------------------------------------------


@pytest.fixture
def offered(hub, theirs, tiny_base):
    """Somebody's adapter on the hub, beside things that nobody asks for; gives its commit."""
    files = {path.name: path.read_bytes() for path in theirs.iterdir()}
    page = b"---\nbase_model: owner/tiny\nlicense: mit\n---\n# Theirs\n"
    return hub.add("eve/theirs", {**files, "README.md": page, "evil.py": b"x", "optimizer.pt": b"y"})


async def test_an_adapter_is_fetched_pinned_and_tried(desk, hub, offered, theirs, runner):
    found = await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    assert (found.source, found.base, found.licence) == (f"hub:eve/theirs@{offered}", "owner/tiny", "mit")
    assert {name for _, name, _ in hub.got} == set(FILES) - {"README.md"}
    assert {commit for commit, _, _ in hub.got} == {offered}
    assert any(event.stage.startswith("Fetching adapter_model") for event in desk.events("model.pull"))
    ended = await desk.ask(ask.ImportAdapter(folder=found.folder, into="gaming", source=found.source))
    assert ended.state is StudyState.ACCEPTED
    version = desk.rooms.store.current("gaming")
    assert (version.kind, version.source) == (VersionKind.IMPORT, found.source)
    assert not Path(found.folder).exists(), "what was read is not kept twice"
    assert desk.rooms.store.rollback("gaming", 0).source == ""
    assert desk.rooms.store.rollback("gaming", 1).source == found.source


async def test_what_was_published_can_be_brought_back(desk, learned, hub, runner):
    done = await desk.ask(publishing())
    found = await desk.ask(ask.FetchAdapter(spec=f"hub:{NAME}@{done.commit}"))
    ended = await desk.ask(ask.ImportAdapter(folder=found.folder, into="gaming", source=found.source))
    assert ended.state is StudyState.ACCEPTED
    (part,) = runner.jobs[0].merge.parts
    ours = Adapter.load(desk.rooms.store.adapter_folder("science")).factors
    for place, f in Adapter.load(part.adapter).factors.items():
        assert (f.up @ f.down).allclose(ours[place].up @ ours[place].down, atol=1e-6)


async def test_an_older_commit_is_had_by_its_name(desk, hub, offered, theirs):
    hub._commit("eve/theirs", {"adapter_model.safetensors": b"other"}, "newer")
    found = await desk.ask(ask.FetchAdapter(spec=f"hub:eve/theirs@{offered}"))
    assert found.source.endswith(offered)
    fetched = Path(found.folder) / "adapter_model.safetensors"
    assert fetched.read_bytes() == (theirs / "adapter_model.safetensors").read_bytes()


async def test_a_broken_download_goes_on_at_its_byte(desk, hub, offered):
    hub.break_at = 8192
    await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    firsts = [first for _, name, first in hub.got if name == "adapter_model.safetensors"]
    assert len(firsts) == 2 and firsts[0] == 0 < firsts[1]


async def test_a_stopped_download_goes_on_the_next_time(desk, hub, offered, wait_until):
    hub.pause = 0.2
    fetch = asyncio.create_task(desk.ask(ask.FetchAdapter(spec="hub:eve/theirs")))
    parts = desk.home.cache / "adapters"
    await wait_until(lambda: [part for part in parts.glob("*/*model*.incomplete") if part.stat().st_size])
    assert await desk.ask(ask.CancelPull())
    with pytest.raises(PullCancelled, match="goes on from there"):
        await fetch
    assert not psutil.Process().children()
    hub.pause = 0.0
    await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    assert [first for _, name, first in hub.got if name == "adapter_model.safetensors"][-1] > 0
    assert len([name for _, name, _ in hub.got if name == "adapter_config.json"]) == 1


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("hub:eve/nothing", NotFound, "no eve/nothing on the hub"),
        ("hub:eve/theirs@" + "0" * 40, NotFound, "no such revision"),
        ("hub:../x", UsageError, "hub:owner/name"),
        ("hub:eve", UsageError, "hub:owner/name"),
        ("hub:eve/theirs@a b", UsageError, "hub:owner/name"),
        ("hub:eve/pickled", NotFound, "pickled weights alone"),
        ("hub:eve/other", NotFound, "adapter_config.json is missing"),
    ],
)
async def test_what_is_no_adapter_is_told_what_it_is(desk, hub, offered, spec, error, words):
    hub.add("eve/pickled", {"adapter_config.json": b"{}", "adapter_model.bin": b"\x80\x04"})
    hub.add("eve/other", {"model.safetensors": b"x"})
    with pytest.raises(error, match=words):
        await desk.ask(ask.FetchAdapter(spec=spec))
    assert hub.got == []


async def test_one_behind_terms_or_closed_to_the_token_says_so(desk, hub, offered, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nobody"))
    hub.repos["eve/theirs"].gated = True
    with pytest.raises(Unauthorised, match="accept its terms"):
        await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    hub.repos["eve/theirs"].private = True
    with pytest.raises(NotFound, match="or it is private"):
        await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    monkeypatch.setenv("HF_TOKEN", READER)
    assert (await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))).bytes


async def test_without_a_hub_it_says_which_kind_of_without(desk, hub, offered, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Unreachable, match="HF_HUB_OFFLINE"):
        await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="cannot be reached"):
        await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))


async def test_a_configuration_that_asks_for_more_is_refused_before_the_weights(desk, hub, offered, theirs):
    config = json.loads((theirs / "adapter_config.json").read_text())
    odd = json.dumps({**config, "rank_pattern": {"(a+)+b": 4}}).encode()
    hub._commit("eve/theirs", {"adapter_config.json": odd}, "odd")
    with pytest.raises(UsageError, match="rank_pattern"):
        await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    assert [name for _, name, _ in hub.got] == ["adapter_config.json"]
    assert [*(desk.home.cache / "adapters").iterdir()] == []


@pytest.fixture
def said_of_weights(monkeypatch):
    """What a hub says of weights in place of the truth."""
    said, true = {}, hub_repos._entry

    def entry(name, data):
        return {**true(name, data), **(said if name.endswith(".safetensors") else {})}

    monkeypatch.setattr(hub_repos, "_entry", entry)
    return said


async def test_weights_that_are_not_those_of_the_hub_are_not_kept(desk, hub, offered, said_of_weights):
    size = len(held(hub, "eve/theirs")["adapter_model.safetensors"])
    said_of_weights["lfs"] = {"sha256": "0" * 64, "pointerSize": 130, "size": size}
    with pytest.raises(ModelDamaged, match="did not arrive"):
        await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    assert not [*(desk.home.cache / "adapters").glob("*/*model*")]


async def test_one_too_large_is_refused_by_its_size(desk, hub, offered, said_of_weights):
    said_of_weights["size"] = 5 << 30
    with pytest.raises(UsageError, match="smaller adapter"):
        await desk.ask(ask.FetchAdapter(spec="hub:eve/theirs"))
    assert hub.got == []
