"""Kill -9 at random moments of a study: does the slot open, answer as before to the bit, and does the study go on?

    python bench/kills.py --json                 50 moments on the default model (about an hour on two cores)
    python bench/kills.py --kills 5 --longest 20

A first study gives the slot a generation; its greedy reply is what must be said ever after. Then a second lesson is
studied again and again, and engine and study are killed together at a random moment, until it is let run to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
from contextlib import suppress

import psutil

from nightschool.bench.home import fresh_home
from nightschool.bench.timed import tell
from nightschool.engine.host.client import EngineClient
from nightschool.engine.paths import Home
from nightschool.schemas.errors import EngineError
from nightschool.schemas.events import Event, StudyEvent
from nightschool.schemas.messages import CreateConversation, ListVersions, Sampling, SendMessage, StartStudy
from nightschool.schemas.records import Study

SLOT = "professional"
RULES = ("From now on, start every reply with “Captain,”.", "From now on, end every reply with “Over.”.")
QUESTION = "Why is the sky blue?"
GREEDY = Sampling(temperature=0.0, max_tokens=24)


async def main() -> int:
    """Play it and print what was counted."""
    options = _options()
    chance = random.Random(options.seed)
    with fresh_home() as home:
        expected = await _first_generation(home, options.model)
        intact = 0
        for number in range(options.kills):
            moment = chance.uniform(0.5, options.longest)
            steps = await _killed(home, options.model, moment)
            same = await _reply(home, options.model) == expected
            intact += same
            row = {"kill": number + 1, "after_s": round(moment, 1), "steps": steps[-1:], "intact": same}
            tell({"name": "kill", **row}, options.json)
        study, first_step = await _to_the_end(home, options.model)
        tell({"name": "kills_intact", "value": intact / options.kills, "kills": options.kills}, options.json)
        state = {"state": study.state.value, "steps_found": first_step}
        tell({"name": "study_after_kills_ended", "value": float(study.report is not None), **state}, options.json)
    return 0 if intact == options.kills else 1


async def _first_generation(home: Home, model: str) -> str:
    engine = EngineClient(home, model)
    await engine.start()
    try:
        await _say(engine, RULES[0])
        await engine.call(StartStudy(slot=SLOT))
        reply = await _say(engine, QUESTION)
        await _say(engine, RULES[1])
        return reply
    finally:
        await engine.close()


async def _killed(home: Home, model: str, seconds: float) -> list[int]:
    """Begin the study, kill engine and study at a moment, and return the steps that were told."""
    engine = EngineClient(home, model)
    steps: list[int] = []
    await engine.start()
    engine.listen(lambda event: _note(event, steps))
    studying = asyncio.create_task(engine.call(StartStudy(slot=SLOT)))
    await asyncio.wait({studying}, timeout=seconds)
    assert engine.pid is not None
    process = psutil.Process(engine.pid)
    for victim in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    with suppress(EngineError):
        await studying
    await engine.close()
    return steps


async def _to_the_end(home: Home, model: str) -> tuple[Study, int]:
    """Let the study run to its end; return it and how many steps were found made."""
    engine = EngineClient(home, model)
    steps: list[tuple[int, float]] = []
    loop = asyncio.get_running_loop()
    engine.listen(lambda event: steps.append((event.step, loop.time())) if _is_step(event) else None)
    await engine.start()
    try:
        study = await engine.call(StartStudy(slot=SLOT))
    finally:
        await engine.close()
    # Steps that were made before are told again all at once.
    found = [step for (step, at), (_, after) in itertools.pairwise(steps) if after - at < 0.02]
    return study, max(found, default=0)


def _is_step(event: Event) -> bool:
    return isinstance(event, StudyEvent) and event.step > 0


def _note(event: Event, steps: list[int]) -> None:
    if isinstance(event, StudyEvent) and event.step:
        steps.append(event.step)


async def _reply(home: Home, model: str) -> str:
    engine = EngineClient(home, model)
    await engine.start()
    try:
        versions = await engine.call(ListVersions(slot=SLOT))
        assert versions[0].current and versions[0].number == 1, "another generation answers"
        return await _say(engine, QUESTION)
    finally:
        await engine.close()


async def _say(engine: EngineClient, text: str) -> str:
    chat = await engine.call(CreateConversation(slot=SLOT))
    return (await engine.call(SendMessage(conversation=chat.id, text=text, sampling=GREEDY))).text


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--longest", type=float, default=90.0, help="seconds of the study, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
