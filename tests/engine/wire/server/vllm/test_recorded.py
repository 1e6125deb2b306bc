"""What vLLM 0.32 really answered, and what our connector handed over, once: read as on every day."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path

import httpx2
import pytest
import torch

from nightschool.engine.base.cut import split
from nightschool.engine.wire.server.vllm.engine import VllmEngine
from nightschool.engine.wire.server.vllm.mailbox import Mailbox
from nightschool.tests.engine.wire.server.vllm.fake import FakeVllm

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text("utf-8"))


class Replayed(FakeVllm):
    """Says again what was recorded, if it is asked for just that."""

    def __init__(self, rows):
        self.rows = rows

    async def handle_async_request(self, request):
        asked = json.loads(await request.aread())
        wanted = RECORDED["asked"]
        name = asked["kv_transfer_params"].pop("name")
        assert asked == {**wanted, "kv_transfer_params": {"first": 14, "layer": 0}}
        await self.hand_over({**RECORDED["head"], "name": name}, base64.b64decode(RECORDED["rows"]))
        return httpx2.Response(RECORDED["status"], json=RECORDED["answer"])


async def replay():
    asked = RECORDED["asked"]
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.sock"
        engine = VllmEngine(
            "http://vllm.test", "key", Mailbox(rows), width=576, layers=[30, 22], transport=Replayed(rows)
        )
        await engine.open()
        try:
            how = {"first": 14, "layer": RECORDED["layer"], "more": 2, "ends": [2], "salt": "0" * 32}
            return await engine.ask(asked["prompt"], **how)
        finally:
            await engine.close()


async def test_it_reads_as_rows_and_the_tokens_that_follow():
    burst = await replay()
    assert burst.said == [504, 3575, 282]
    assert burst.rows.shape == (16 - 14 + 2, 576)


@pytest.mark.model
async def test_the_rows_are_those_of_transformers(default_base):
    burst = await replay()
    trunk, _ = split(default_base.model, 8)
    whole = trunk.states(torch.tensor([RECORDED["asked"]["prompt"] + burst.said[:-1]]))[0, 14:]
    assert float((burst.rows - whole).norm() / whole.norm()) < 1e-4
