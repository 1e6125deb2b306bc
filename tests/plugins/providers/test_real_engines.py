"""Real engines, where one runs: its address in NIGHTSCHOOL_PEER_VLLM, ..._LLAMA_CPP or ..._SGLANG.

Each serves the default model, started as ``docs/providers.md`` says:
``NIGHTSCHOOL_PEER_VLLM=http://127.0.0.1:8000 pytest -m peer``.
"""

import os

import pytest

from nightschool.engine.host.elsewhere import Elsewhere
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.settings import ServerSettings

KINDS = ("vllm", "llama.cpp", "sglang")


@pytest.mark.peer
@pytest.mark.parametrize("kind", KINDS)
async def test_a_real_engine_is_the_default_model(default_base, kind):
    url = os.environ.get("NIGHTSCHOOL_PEER_" + kind.upper().replace(".", "_"))
    if not url:
        pytest.skip(f"no {kind} runs")
    kinds = PluginHost.load(third_party=False).collect("nightschool_providers")
    found = await Elsewhere(default_base, 8, kinds).examine(ServerSettings(url=url, kind=kind, plain_http=True), None)
    assert found.distance is not None and found.distance < 0.1
