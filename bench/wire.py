"""Streaming from a base elsewhere, over a simulated network, against the same client asking for each token.

    python bench/wire.py --json                        studies six lessons first, which takes half an hour
    python bench/wire.py --adapters FOLDER ... --json  with adapters that are there
    python bench/wire.py --quick                       one adapter, one question, one temperature

Both sides run in turns in this process, through the same code, on a clock that counts what client and server really
compute, each on its own, and the simulated way between them (``bench/network.py``). The adapters are of lessons whose
study passed all gates; the server has the plain base.

- ``round_trips_per_100_tokens``: at 50 ms, mean over the adapters; the worst of the temperatures. One by one: 100.
- ``speedup_at_50ms``, ``speedup_at_100ms``, ``speedup_at_0ms``: tokens a second over those of the client that asks for
  each, questions read included; over all adapters and temperatures.
- ``different_replies``: of how many; the two should say the same, unless two tokens were nearly equally likely.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nightschool.bench.checks import load_cases
from nightschool.bench.home import fresh_home
from nightschool.bench.network import Clock, DistantProvider, Link, Served
from nightschool.bench.stick import teach
from nightschool.bench.timed import tell, wake
from nightschool.engine.base.library import LoadedBase
from nightschool.engine.chat.chat import Chat, Reply, Turn
from nightschool.engine.chat.pace import Pace
from nightschool.engine.host.client import EngineClient
from nightschool.engine.host.model_thread import Model
from nightschool.engine.paths import find_home
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Role, StudyState

CASES = Path(__file__).parent / "cases" / "own.jsonl"
QUESTIONS = [
    "How does a rainbow form?",
    "What should I think about before I adopt a dog?",
    "Tell me a short story about a lighthouse.",
    "Why do leaves change their colour in autumn?",
]
TEMPERATURES = (0.0, 0.7, 1.0)
ROUND_TRIPS_MS = (50, 100, 0)


@dataclass
class Side:
    """What one way of asking came to."""

    seconds: float = 0.0
    tokens: int = 0
    trips: list[float] = field(default_factory=list)
    guessed: int = 0
    agreed: int = 0
    near_ties: int = 0
    served: Served = field(default_factory=Served)

    def add(self, reply: Reply, seconds: float, served: Served) -> None:
        """Count a reply."""
        traffic = reply.traffic
        self.seconds += seconds
        self.tokens += traffic.tokens
        self.trips.append(traffic.round_trips_per_100_tokens)
        self.guessed, self.agreed = self.guessed + traffic.guessed, self.agreed + traffic.agreed
        self.near_ties += traffic.near_ties
        self.served.rows, self.served.wasted = self.served.rows + served.rows, self.served.wasted + served.wasted

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def main() -> int:
    """Measure and print one line for each figure."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="nightschool-wire-") as folder:
        adapters = options.adapters
        if not adapters:
            adapters = asyncio.run(_study(options, Path(folder)))
        asyncio.run(_measured(adapters[: 1 if options.quick else None], options))
    return 0


async def _measured(adapters: Sequence[Path], options: argparse.Namespace) -> None:
    """Measure in the thread that has all cores."""
    thread = await wake(find_home(), options.model)
    await thread.do(lambda model: _measure(model, adapters, options))


async def _measure(model: Model, adapters: Sequence[Path], options: argparse.Namespace) -> None:
    temperatures = TEMPERATURES[1:2] if options.quick else TEMPERATURES
    questions = QUESTIONS[:1] if options.quick else QUESTIONS[: options.questions]
    sides: dict[tuple[int, bool], Side] = defaultdict(Side)  # by milliseconds, and whether it streams
    trips: dict[float, dict[Path, list[float]]] = defaultdict(lambda: defaultdict(list))
    different = replies = 0
    for milliseconds in ROUND_TRIPS_MS:
        for adapter in adapters:
            chats = {streams: _chat(model.base, model.cut, milliseconds, streams=streams) for streams in (False, True)}
            for temperature in temperatures:
                for seed, question in enumerate(questions):
                    sampling = Sampling(temperature=temperature, seed=seed, max_tokens=options.tokens)
                    said = []
                    for streams, (chat, provider, clock) in chats.items():
                        provider.served, began = Served(), clock()
                        said.append(await _ask(chat, question, adapter, sampling))
                        sides[milliseconds, streams].add(said[-1], clock() - began, provider.served)
                    replies, different = replies + 1, different + (said[0].text != said[1].text)
                    if milliseconds == ROUND_TRIPS_MS[0]:
                        trips[temperature][adapter].append(said[1].traffic.round_trips_per_100_tokens)
    _tell_all(sides, trips, (different, replies), options.json)


def _tell_all(
    sides: dict[tuple[int, bool], Side],
    trips: dict[float, dict[Path, list[float]]],
    different: tuple[int, int],
    as_json: bool,
) -> None:
    means = {
        temperature: statistics.fmean(statistics.fmean(values) for values in by_adapter.values())
        for temperature, by_adapter in trips.items()
    }
    slots = {adapter for by_adapter in trips.values() for adapter in by_adapter}
    for adapter in sorted(slots):
        each = {f"at_{temperature}": statistics.fmean(found[adapter]) for temperature, found in trips.items()}
        tell({"name": "round_trips_of_one_slot", "value": max(each.values()), "slot": adapter.name, **each}, as_json)
    first, plain = sides[ROUND_TRIPS_MS[0], True], sides[ROUND_TRIPS_MS[0], False]
    tell(
        {
            "name": "round_trips_per_100_tokens",
            "value": max(means.values()),
            **{f"at_{temperature}": value for temperature, value in means.items()},
            "one_by_one": statistics.fmean(plain.trips),
            "agreement": first.agreed / max(1, first.guessed),
            "rows_in_vain_per_100_tokens": 100 * first.served.wasted / max(1, first.tokens),
            "slots": len(slots),
        },
        as_json,
    )
    for milliseconds in ROUND_TRIPS_MS:
        ours, peer = sides[milliseconds, True], sides[milliseconds, False]
        row = {"name": f"speedup_at_{milliseconds}ms", "value": ours.rate / peer.rate}
        tell({**row, "tokens_per_s": ours.rate, "one_by_one_tokens_per_s": peer.rate}, as_json)
    ties = sum(side.near_ties for side in sides.values())
    tell({"name": "different_replies", "value": different[0], "of": different[1], "near_ties": ties}, as_json)


def _chat(base: LoadedBase, cut: int, milliseconds: int, *, streams: bool) -> tuple[Chat, DistantProvider, Clock]:
    clock = Clock(real=True)
    provider = DistantProvider(base, Link(milliseconds / 1000), clock, streams=streams)
    pace = Pace(streams=streams, drafts=None if streams else False)
    return Chat(base, provider, cut, pace=pace, clock=clock), provider, clock


async def _ask(chat: Chat, question: str, adapter: Path, sampling: Sampling) -> Reply:
    reply = await chat.reply(
        0,
        [Turn(Role.USER, question)],
        system="",
        adapter=adapter,
        sampling=sampling,
        on_text=lambda text: None,
        cancelled=lambda: False,
    )
    await chat.forget(0)
    return reply


async def _study(options: argparse.Namespace, folder: Path) -> list[Path]:
    """Teach one case after the other until as many versions as wanted have passed the gates; return their adapters."""
    found: list[Path] = []
    for case in load_cases(options.cases):
        if len(found) == (1 if options.quick else options.slots):
            break
        with fresh_home() as home:
            engine = EngineClient(home, options.model)
            await engine.start()
            try:
                study, reason = await teach(engine, case)
            finally:
                await engine.close()
            adapter = SlotStore(home.slots).adapter_folder(case.slot)
            if study is None or study.state is not StudyState.ACCEPTED or adapter is None:
                print(f"{case.id}: no adapter ({reason or (study.reason if study else '')})", file=sys.stderr)
                continue
            found.append(folder / case.id)
            shutil.copytree(adapter, found[-1])
            print(f"{case.id}: accepted", file=sys.stderr, flush=True)
    if not found:
        sys.exit("No study passed its gates; name folders of adapters with --adapters.")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--adapters", type=Path, nargs="+", default=[], help="folders of adapters; else lessons are studied"
    )
    parser.add_argument("--cases", type=Path, default=CASES, help="the learning cases to study")
    parser.add_argument("--slots", type=int, default=6, help="how many of them must pass the gates")
    parser.add_argument("--questions", type=int, default=3, help="asked of each adapter at each temperature")
    parser.add_argument("--tokens", type=int, default=100, help="of a reply at most")
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--quick", action="store_true", help="one adapter, one question, one temperature")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
