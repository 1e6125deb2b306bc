"""What the server gives to many at once, and what the protocol costs one.

    python bench/serve.py --json

A real server, ``nightschool serve``, in a process of its own, asked over loopback; both sides of each ratio are taken
in turns in one run.

- ``throughput_16_vs_1``: tokens a second of sixteen sessions, each a token at a time, over those of one.
- ``step_p99_ms``: of the sixteen, from the request to the whole answer.
- ``overhead_ms``: median of a step of one token through the provider elsewhere, less that of the local provider on the
  same weights in the same numbers; ``bare`` is the same with prepared requests and the standard library's client.
- ``cache_share``: the most that 64 idle and 16 busy sessions took of the budget of bytes, which is made too small for
  all of them; it must not be above 1.
- ``memory_growth_mb``: what that server's process grew by over many sessions, none of them closed, after the first
  tenth of them.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from nightschool.bench.home import fresh_home
from nightschool.bench.timed import tell
from nightschool.engine.base.library import LoadedBase, load, prepare
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.paths import Home
from nightschool.engine.threads import share_cores, use_all_cores
from nightschool.engine.wire import routes
from nightschool.engine.wire.bodies import encode_request
from nightschool.engine.wire.client import Client
from nightschool.engine.wire.frames import CONTENT_TYPE, Type
from nightschool.engine.wire.prefix import Prefix
from nightschool.plugins.providers.local import LocalProvider
from nightschool.plugins.providers.remote import RemoteProvider
from nightschool.schemas.hsp import Open, Opened, Step

MANY = 16
IDLE = 64
PROMPT = 64  # tokens that each session begins with
BLOCK = 40  # steps of one side in a row: the first ones after the other side's find its weights in the caches
WARMING = 5


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    url: str
    cut: int
    numbers: Numbers
    process: psutil.Process


def main() -> int:
    """Measure and print one line for each figure."""
    options = _options()
    share_cores()  # as the engine does: threads of the local side that spin on would be counted to the other side
    with fresh_home() as home:
        base = load(prepare(options.model, home, lambda stage, fraction: None))
        with _server(home, options) as server:
            _throughput(server, base, options)
            asyncio.run(_overhead(server, base, options))
        with _server(home, options, "--cache-mb", str(options.cache_mb)) as server:
            _budget(server, base, options)
            _growth(server, base, options)
    return 0


# -- what is measured -------------------------------------------------------------------------------------------------


def _throughput(server: Server, base: LoadedBase, options: argparse.Namespace) -> None:
    rates: dict[int, list[float]] = {1: [], MANY: []}
    times: list[float] = []
    for number in range(options.rounds + 1):
        for count, found in rates.items():
            rate, took = _together(server, base, count, options.tokens)
            if number:  # the first round is to get warm
                found.append(rate)
                times += took if count == MANY else []
    one, many = (statistics.median(found) for found in rates.values())
    facts = {"one_tok_s": round(one, 1), "many_tok_s": round(many, 1), "numbers": server.numbers.value}
    tell({"name": "throughput_16_vs_1", "value": many / one, **facts}, options.json)
    p99 = sorted(times)[min(len(times) - 1, int(0.99 * len(times)))]
    facts = {"median": round(1000 * statistics.median(times), 2), "steps": len(times)}
    tell({"name": "step_p99_ms", "value": 1000 * p99, **facts}, options.json)


async def _overhead(server: Server, base: LoadedBase, options: argparse.Namespace) -> None:
    use_all_cores()
    here = LocalProvider(base.computing_in(server.numbers)).open(server.cut)
    elsewhere = RemoteProvider(base.card, Client(server.url))
    there, bare = elsewhere.open(server.cut), Talk(server, base)
    prompt = list(range(100, 100 + PROMPT))
    await here.extend(0, prompt)
    await there.extend(0, prompt)
    lengths = {"here": PROMPT, "there": PROMPT}
    times: dict[str, list[float]] = {"here": [], "there": [], "bare": []}
    for name in list(times) * max(1, round(options.steps / BLOCK)):
        for number in range(WARMING + BLOCK):
            tokens = [100 + number % 50]
            began = time.perf_counter()
            if name == "bare":
                bare.step(tokens)
            else:
                await (here if name == "here" else there).extend(lengths[name], tokens)
                lengths[name] += 1
            if number >= WARMING:
                times[name].append(time.perf_counter() - began)
    await there.close()
    await elsewhere.close()
    local, remote, prepared = (1000 * statistics.median(found) for found in times.values())
    facts = {"local_ms": round(local, 2), "remote_ms": round(remote, 2), "bare": round(prepared - local, 3)}
    tell({"name": "overhead_ms", "value": remote - local, **facts}, options.json)


def _budget(server: Server, base: LoadedBase, options: argparse.Namespace) -> None:
    for number in range(IDLE):
        Talk(server, base, seed=number)
    most, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, _gauge(server, "cache_bytes"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _together(server, base, MANY, options.tokens)
    done.set()
    watcher.join()
    facts = {"budget_mb": options.cache_mb, "evicted": int(_gauge(server, "evicted_total"))}
    share = max(most, _gauge(server, "cache_bytes")) / _gauge(server, "cache_budget_bytes")
    tell({"name": "cache_share", "value": share, **facts}, options.json)


def _growth(server: Server, base: LoadedBase, options: argparse.Namespace) -> None:
    before, warm = 0, min(max(options.sessions // 10, 1100), options.sessions // 2)
    for number in range(options.sessions):
        if number == warm:  # as many are open as may be, and the budget is full
            before = server.process.memory_info().rss
        Talk(server, base, seed=number, prompt=8)
    grown = (server.process.memory_info().rss - before) / 1e6
    tell({"name": "memory_growth_mb", "value": grown, "sessions": options.sessions - warm}, options.json)


def _together(server: Server, base: LoadedBase, count: int, tokens: int) -> tuple[float, list[float]]:
    """Return the tokens a second of so many sessions at once, and the seconds of each step."""
    talks = [Talk(server, base, seed=1000 + number) for number in range(count)]
    times: list[float] = []
    start = threading.Barrier(count + 1)

    def speak(talk: Talk) -> None:
        start.wait()
        times.extend(talk.step([100 + number % 50]) for number in range(tokens))

    threads = [threading.Thread(target=speak, args=(talk,)) for talk in talks]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    rate = count * tokens / (time.perf_counter() - began)
    for talk in talks:
        talk.close()
    return rate, times


# -- a client with as little of its own as can be ---------------------------------------------------------------------


class Talk:
    """One session, over one connection of the standard library's client."""

    def __init__(self, server: Server, base: LoadedBase, *, seed: int = 0, prompt: int = PROMPT) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self._http = http.client.HTTPConnection(host, int(port), timeout=120)
        asked = Open(fingerprint=base.card.fingerprint, cut=server.cut)
        self._name = Opened.model_validate_json(self._ask("POST", routes.SESSIONS, asked.model_dump_json())).session
        self._said, self._number = Prefix(), 0
        self.step([1 + (seed * 7 + place) % 200 for place in range(prompt)])

    def step(self, tokens: list[int]) -> float:
        """Say some tokens, and return the seconds until all of the answer is there."""
        began, position = time.perf_counter(), len(self._said)
        self._number += 1
        asked = Step(step=self._number, hash=self._said.hash(), first=position)
        answer = self._ask(
            "POST", routes.STEP.format(session=self._name), encode_request(asked, [tokens], position=position)
        )
        assert answer[5] == Type.ROWS
        self._said.extend(tokens)
        return time.perf_counter() - began

    def close(self) -> None:
        """Free the session."""
        self._ask("DELETE", routes.SESSION.format(session=self._name), b"")
        self._http.close()

    def _ask(self, method: str, path: str, body: bytes | str) -> bytes:
        self._http.request(method, path, body, {"Content-Type": CONTENT_TYPE})
        response = self._http.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} was answered {response.status} {answer[:300]!r}")
        return answer


@contextmanager
def _server(home: Home, options: argparse.Namespace, *more: str) -> Iterator[Server]:
    arguments = ("--home", str(home.root), "serve", "--port", "0", "--json", *more)
    arguments += ("--base", options.model) if options.model else ()
    arguments += ("--numbers", options.numbers) if options.numbers else ()
    process = subprocess.Popen(
        [sys.executable, "-m", "nightschool", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.readline())
    try:
        yield Server(said["url"], said["cuts"][0], Numbers(said["numbers"]), psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _gauge(server: Server, name: str) -> float:
    host = server.url.removeprefix("http://")
    peer = http.client.HTTPConnection(host, timeout=120)
    peer.request("GET", routes.METRICS)
    found = re.search(rf"^nightschool_{name} (\S+)$", peer.getresponse().read().decode(), re.MULTILINE)
    peer.close()
    assert found is not None
    return float(found[1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--numbers", default="", help="as of nightschool serve")
    parser.add_argument("--tokens", type=int, default=64, help="that each session says in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200, help="that the overhead is taken from")
    parser.add_argument("--sessions", type=int, default=10_000, help="that memory must not grow over")
    parser.add_argument("--cache-mb", type=int, default=400, help="the budget that 80 sessions must stay within")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
