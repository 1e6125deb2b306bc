"""Engines of others, played: a tiny model behind the very routes, requests and answers of vLLM, llama.cpp and SGLang.

The formats are those that were measured on vLLM 0.32 and llama.cpp b11434, and that SGLang 0.5 documents. What a real
engine refuses is refused here too, so that a request of the wrong form does not pass.
"""

from __future__ import annotations

import base64
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from nightschool.tests.tiny import tiny

KINDS = ("vllm", "llama.cpp", "sglang")


@dataclass
class Played:
    """One engine that runs, and what a test looks at or turns.

    Attributes:
        asked: Bodies of requests for rows.
        radix: What SGLang has cached; None: it caches nothing.
        last: Whether SGLang knows ``"last"``.
        normed: Whether rows come after the final norm.
        spoil: Changes the rows ``(T, d)`` before they are written; for servers that cannot be trusted.
    """

    model: object
    url: str = ""
    asked: list = field(default_factory=list)
    radix: list | None = None
    last: bool = True
    normed: bool = True
    spoil: object = staticmethod(lambda rows: rows)

    @torch.no_grad()
    def rows(self, tokens):
        ids = torch.tensor([tokens])
        out = self.model.model(input_ids=ids, output_hidden_states=True, use_cache=False)
        if self.normed:
            return self.spoil(out.last_hidden_state[0])
        held = {}
        hook = self.model.model.norm.register_forward_pre_hook(lambda module, given: held.update(rows=given[0][0]))
        self.model.model(input_ids=ids, use_cache=False)
        hook.remove()
        return self.spoil(held["rows"])

    async def models(self, request):
        return JSONResponse({"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "them"}]})

    async def pooling(self, request):
        body = await request.json()
        self.asked.append(body)
        if body.get("model") != "tiny":
            return JSONResponse({"error": {"message": f"The model `{body.get('model')}` does not exist."}}, 404)
        assert (body["task"], body["use_activation"], body["endianness"]) == ("token_embed", False, "little")
        assert (body["encoding_format"], body["embed_dtype"]) == ("base64", "float32")
        data = base64.b64encode(self.rows(body["input"]).float().numpy().tobytes()).decode()
        usage = {"prompt_tokens": len(body["input"]), "total_tokens": len(body["input"])}
        item = {"index": 0, "object": "pooling", "data": data}
        return JSONResponse(
            {"id": "pooling-1", "object": "list", "created": 1, "model": "tiny", "data": [item], "usage": usage}
        )

    async def embeddings(self, request):
        body = await request.json()
        self.asked.append(body)
        return JSONResponse([{"index": 0, "embedding": self.rows(body["input"]).tolist()}])

    async def generate(self, request):
        body = await request.json()
        self.asked.append(body)
        tokens, wanted = body["input_ids"], body["return_hidden_states"]
        if wanted == "last" and not self.last:
            return JSONResponse({"error": {"message": "return_hidden_states must be a boolean"}}, 400)
        rows = self.rows(tokens)
        if self.radix is not None:
            known = max((_common(tokens, seen) for seen in self.radix), default=0)
            rows = rows[min(known, len(tokens) - 1) :]
            self.radix.append(list(tokens))
        states = [rows[-1:].tolist() if wanted == "last" else rows.tolist()]
        meta = {"prompt_tokens": len(tokens), "completion_tokens": 1, "hidden_states": states}
        return JSONResponse({"text": "x", "meta_info": meta})


def _common(one, other):
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


_ROUTES = {
    "vllm": lambda it: [Route("/pooling", it.pooling, methods=["POST"])],
    "llama.cpp": lambda it: [Route("/embeddings", it.embeddings, methods=["POST"])],
    "sglang": lambda it: [Route("/generate", it.generate, methods=["POST"])],
}


@contextmanager
def played(kind, **how):
    """Give an engine of a kind that runs in a thread of the test, with the tiny model of ``tiny_base``."""
    it = Played(how.pop("model", None) or tiny(), **how)
    app = Starlette(routes=[Route("/v1/models", it.models), *_ROUTES[kind](it)])
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        it.url = f"http://127.0.0.1:{_port(server, thread)}"
        yield it
    finally:
        server.should_exit = True
        thread.join(30)


def _port(server, thread):
    tick = threading.Event()
    while not server.started:
        assert thread.is_alive(), "the engine did not start"
        tick.wait(0.01)
    return server.servers[0].sockets[0].getsockname()[1]
