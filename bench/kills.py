"""Kill -9 at random moments of a study: does the slot open, answer as before to the bit, and does the study go on?

    python bench/kills.py --json                 50 moments on the default model (about an hour on two cores)
    python bench/kills.py --kills 5 --longest 20

A first study gives the slot a generation; its greedy reply is what must be said ever after. Then a second lesson is
studied again and again, and engine and study are killed together at a random moment. A study goes on from where it was
killed, and so ends at some time: then the slot is rolled back and the next lesson is said. The last one is let run.
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
from nightschool.schemas.messages import (
    CreateConversation,
    ListLessons,
    ListVersions,
    Rollback,
    Sampling,
    SendMessage,
    StartStudy,
)
from nightschool.schemas.records import LessonState, Study

SLOT = "professional"
FIRST = "From now on, start every reply with “Captain,”."
ENDS = ("Over.", "That is all.", "Stay curious!", "Back to work.", "More tomorrow.", "Ask again soon.", "So be it.")
QUESTION = "Why is the sky blue?"
GREEDY = Sampling(temperature=0.0, max_tokens=24)


async def main() -> int:
    """Play it and print what was counted."""
    options = _options()
    chance = random.Random(options.seed)
    with fresh_home() as home:
        expected = await _first_generation(home, options.model)
        intact, current = 0, 1
        for number in range(options.kills):
            moment = chance.uniform(0.5, options.longest)
            steps = await _killed(home, options.model, moment)
            reply, now = await _after_a_kill(home, options.model, current)
            intact += reply == expected
            row = {"kill": number + 1, "after_s": round(moment, 1), "steps": steps[-1:], "ended": now != current}
            tell({"name": "kill", **row, "intact": reply == expected}, options.json)
            current = now
        study, first_step = await _to_the_end(home, options.model)
        tell({"name": "kills_intact", "value": intact / options.kills, "kills": options.kills}, options.json)
        state = {"state": study.state.value, "steps_found": first_step}
        tell({"name": "study_after_kills_ended", "value": float(study.report is not None), **state}, options.json)
    return 0 if intact == options.kills else 1


async def _first_generation(home: Home, model: str) -> str:
    engine = EngineClient(home, model)
    await engine.start()
    try:
        await _say(engine, FIRST)
        await engine.call(StartStudy(slot=SLOT))
        reply = await _say(engine, QUESTION)
        await _say(engine, _rule(0))
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


async def _after_a_kill(home: Home, model: str, current: int) -> tuple[str, int]:
    """What the first generation says now, and its number: another one if the study had ended and was rolled back."""
    engine = EngineClient(home, model)
    await engine.start()
    try:
        versions = await engine.call(ListVersions(slot=SLOT))
        assert versions[0].current, "the newest generation does not answer"
        if versions[0].number != current:
            current = (await engine.call(Rollback(slot=SLOT, to=1))).number
        reply = await _say(engine, QUESTION)
        lessons = await engine.call(ListLessons(slot=SLOT))
        if not any(lesson.state is LessonState.APPROVED for lesson in lessons):
            await _say(engine, _rule(len(lessons) - 1))
        return reply, current
    finally:
        await engine.close()


def _rule(number: int) -> str:
    return f"From now on, end every reply with “{ENDS[number % len(ENDS)]}”."


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
