"""vLLM with our connector, played over a tiny base: its answers as they were recorded, its rows over the socket."""

from __future__ import annotations

import asyncio
import json

import httpx2
import torch

from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.wire.server.vllm.engine import MODEL


class FakeVllm(httpx2.AsyncBaseTransport):
    """Answers ``/v1/completions``. ``spoil``: changes what is handed over next, or says nothing (None)."""

    def __init__(self, base, rows, layers):
        self.base, self.rows, self.layers = base, rows, sorted(layers)  # as vLLM computes them
        self.asked = []
        self.spoil = None
        self.status = 200

    async def handle_async_request(self, request):
        asked = json.loads(await request.aread())
        self.asked.append(asked)
        assert request.headers["authorization"] == "Bearer key"
        assert (asked["model"], asked["temperature"]) == (MODEL, 0)
        if self.status != 200:
            return httpx2.Response(self.status, json={"error": {"message": "no"}})
        tokens, said = asked["prompt"], []
        for _ in range(asked["max_tokens"]):
            said.append(self.next(tokens + said))
            if said[-1] in asked["stop_token_ids"]:
                break
        wanted = asked["kv_transfer_params"]
        layer = self.layers[wanted["layer"]]
        trunk = open_trunk(self.base, self.base.card.layers - layer)
        rows = trunk.sequences([tokens + said[:-1]])[0][wanted["first"] :].float().contiguous()
        data = rows.view(torch.uint8).reshape(-1).numpy().tobytes()
        head = {"name": wanted["name"], "rows": len(rows), "width": rows.shape[1], "dtype": "float32"}
        head["bytes"] = len(data)
        spoil, self.spoil = self.spoil, None
        handed = (head, data) if spoil is None else spoil(head, data)
        if handed is not None:
            self.handing = asyncio.ensure_future(self.hand_over(*handed))
        return httpx2.Response(200, json={"choices": [{"index": 0, "text": "", "token_ids": said}]})

    def next(self, tokens):
        trunk, tail = open_trunk(self.base, 2), open_tail(self.base, 2)
        with torch.inference_mode():
            (rows,) = tail.sequences(trunk.sequences([tokens]))
            return int(tail.ranked(rows[-1]).argmax())

    async def hand_over(self, head, data):
        _, writer = await asyncio.open_unix_connection(str(self.rows))
        line = head if isinstance(head, bytes) else json.dumps(head).encode() + b"\n"
        writer.write(line + data)
        await writer.drain()
        writer.close()
