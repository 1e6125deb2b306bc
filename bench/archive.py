"""What a user waits for while the archive grows from 10 to 10,000 stored conversations.

    python bench/archive.py --json

One line a size, in milliseconds (medians). Each size asks for the same amount, which the smallest archive can already
give: what grows then, grows with the archive.

``start_ms``         opening the database, which reads all of it once to see that it is whole
``list_ms``          the five latest conversations of a slot
``list_seldom_ms``   the same of a slot that was seldom used, and long ago
``open_ms``          one conversation of the middle, with all its messages
``store_ms``         a message, until it is safe on disk
``search_ms``        50 messages with a word that every message holds
``search_rare_ms``   a word of a single message
``prompt_ms``        the tokens of a new turn: history read, joined, rendered and encoded
``turn_N_ms``        a turn of N new tokens, from the stored history to the first piece of text

Then ``archive_growth_*``, each time at the largest size over the same at the smallest, and ``cost_per_token_growth``,
what one new token costs in the longest turn over what it costs in the shortest, in the largest archive.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from nightschool.bench.home import fresh_home
from nightschool.bench.timed import tell, text_of, timed_reply, wake
from nightschool.engine.chat.chat import Turn
from nightschool.engine.chat.prompt import encode, fit
from nightschool.engine.host.chat_service import turns_of
from nightschool.engine.host.model_thread import Model, ModelThread
from nightschool.engine.host.teaching import EVERY_MESSAGE
from nightschool.engine.records import Records
from nightschool.engine.study.prompts import neutral
from nightschool.schemas.records import Role

SIZES = (10, 100, 1000, 10_000)
OFTEN, SELDOM = "science", "gaming"
PAGE = 5  # conversations that are listed; of the first ten every slot has as many
MESSAGES = 6  # of a conversation; ten of them hold more than the 50 that a search shows
WORDS = 40  # of a message
COMMON, RARE = "lantern", "quicksilver"
NEW_TOKENS = (50, 200, 800)


async def main() -> int:
    """Fill the archive step by step, measure at each size, and print."""
    options = _options()
    found: list[dict[str, float]] = []
    with fresh_home() as home:
        thread, database = await wake(home, options.model), home.database
        for size in options.sizes:
            with Records(database) as records:
                _fill(records, size)
            starts = {"start_ms": _time(lambda: Records(database).close(), options.rounds)}
            with Records(database) as records:
                found.append(starts | await _measure(records, thread, options.rounds))
            tell({"name": "archive", "conversations": size, **found[-1]}, options.json)
    least, most = found[0], found[-1]
    growth = {name: most[name] / least[name] for name in least}
    for name, value in growth.items():
        tell({"name": f"archive_growth_{name.removesuffix('_ms')}", "value": value}, options.json)
    shortest, longest = (most[f"turn_{count}_ms"] / count for count in (NEW_TOKENS[0], NEW_TOKENS[-1]))
    tell({"name": "cost_per_token_growth", "value": longest / shortest}, options.json)
    return 0


def _fill(records: Records, size: int) -> None:
    """Add conversations until there are ``size``, in one transaction."""
    words = " ".join(neutral()).split()
    there = len(records.list_conversations(limit=size))
    with records.transaction():
        for number in range(there, size):
            talk = records.create_conversation(SELDOM if number < 10 and number % 2 else OFTEN).id
            for place in range(MESSAGES):
                start = (number * MESSAGES + place) * 31 % (len(words) - WORDS)
                text = f"{COMMON} {' '.join(words[start : start + WORDS])}"
                rare = f" {RARE}" if number == place == 0 else ""
                records.add_message(talk, Role.ASSISTANT if place % 2 else Role.USER, text + rare)


async def _measure(records: Records, thread: ModelThread, rounds: int) -> dict[str, float]:
    """Return milliseconds by name."""
    talks = records.list_conversations(limit=10_000)
    talk = talks[len(talks) // 2].id
    model = await thread.model()
    found = {
        "list_ms": _time(lambda: records.list_conversations(OFTEN, PAGE), rounds),
        "list_seldom_ms": _time(lambda: records.list_conversations(SELDOM, PAGE), rounds),
        "open_ms": _time(lambda: records.messages(talk), rounds),
        "search_ms": _time(lambda: records.search(COMMON), rounds),
        "search_rare_ms": _time(lambda: records.search(RARE), rounds),
        "prompt_ms": _time(
            lambda: encode(model.base, fit(model.base, _turns(records, talk, "Go on."), "", 512)), rounds
        ),
    }
    for count in NEW_TOKENS:
        found[f"turn_{count}_ms"] = await thread.do(
            lambda model, count=count: _turn(model, records, talk, count, rounds)
        )
    # Last, for it makes the archive larger by what it stores: some messages of a conversation of their own.
    new = records.create_conversation(OFTEN, "New").id
    found["store_ms"] = _time(lambda: records.add_message(new, Role.USER, f"{COMMON} was said."), rounds)
    return found


def _turns(records: Records, talk: int, question: str) -> list[Turn]:
    return turns_of(records.messages(talk, limit=EVERY_MESSAGE), question)


async def _turn(model: Model, records: Records, talk: int, count: int, rounds: int) -> float:
    """Return milliseconds to the first text of turns of ``count`` new tokens, in a chat whose past was read already."""
    questions = [text_of(model.base, count, number) for number in range(rounds + 1)]
    times = []
    for question in questions:
        began = time.perf_counter()
        turns = _turns(records, talk, question)
        ready = time.perf_counter() - began
        times.append(ready + (await timed_reply(model, talk, turns, tokens=1)).first_s)
    return statistics.median(times[1:]) * 1000


def _time(work: Callable[[], Any], rounds: int) -> float:
    """Return the median milliseconds of some rounds."""
    times = []
    for _ in range(3 * rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="conversations, rising, at least ten")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
