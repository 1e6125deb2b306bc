"""What a long past costs the next turn: nothing that was read is read again, also by another slot.

    python bench/prefix.py --json

A chat as the engine has it, after a history of 2,000 tokens. Turn 1 reads all of it, turn 2 only the end of the last
reply and the new question, turn 3 is answered by another slot's adapter: the trunk's work is kept, the tail's is done
again. Times are from the question to the first piece of text, medians over several chats; ``read`` is the tokens that
went through the trunk, ``new`` those that it had not seen.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

from nightschool.bench.home import fresh_home
from nightschool.bench.timed import Timed, tell, text_of, timed_reply, wake
from nightschool.engine.base.halves import open_tail
from nightschool.engine.chat.chat import Turn
from nightschool.engine.chat.prompt import encode, render
from nightschool.engine.host.model_thread import Model
from nightschool.engine.slots.adapter import new_adapter
from nightschool.schemas.records import Role

QUESTIONS = ("What is this text about?", "Which part of it is the most useful?", "Say it in one sentence.")
PASSAGES = 5  # that the history consists of, each with a reply
REPLY_TOKENS = 24


async def main() -> int:
    """Time the turns of several chats and print one line for each figure."""
    options = _options()
    with fresh_home() as home:
        thread, other = await wake(home, options.model), home.root / "other"
        other.mkdir()
        await thread.do(lambda model: _make_adapter(model, other))
        chats = [
            await thread.do(lambda model, number=number: _chat(model, number, options.tokens, other))
            for number in range(options.rounds + 1)
        ][1:]
    seconds = [statistics.median(chat[turn].first_s for chat, _ in chats) for turn in range(3)]
    last, new = chats[-1]
    for name, turn in {"first_token_turn1_s": 0, "first_token_turn2_s": 1, "slot_switch_s": 2}.items():
        tell({"name": name, "value": seconds[turn], "read": last[turn].read, "new": new[turn]}, options.json)
    tell({"name": "turn2_share", "value": seconds[1] / seconds[0], "history": options.tokens}, options.json)
    again = max(chat[2].read / new[2] for chat, new in chats)
    tell({"name": "slot_switch_read_share", "value": again}, options.json)
    return 0


async def _chat(model: Model, number: int, tokens: int, other: Path) -> tuple[list[Timed], list[int]]:
    """Play three turns after a history of its own; return them, and the tokens that each one added."""
    turns: list[Turn] = []
    for passage in range(PASSAGES):
        text = text_of(model.base, tokens // PASSAGES // 2, PASSAGES * number + passage)
        turns += [Turn(Role.USER, f"{QUESTIONS[0]} {text}"), Turn(Role.ASSISTANT, text)]
    found, new, held = [], [], 0
    for question, adapter in zip(QUESTIONS, (None, None, other), strict=True):
        turns.append(Turn(Role.USER, question))
        length = len(encode(model.base, render(model.base, turns)))
        found.append(await timed_reply(model, number, turns, tokens=REPLY_TOKENS, adapter=adapter))
        new.append(length - held)
        held = length + found[-1].reply.tokens
        turns.append(Turn(Role.ASSISTANT, found[-1].reply.text))
    await model.chat.forget(number)
    return found, new


async def _make_adapter(model: Model, folder: Path) -> None:
    new_adapter(open_tail(model.base, model.cut), 8).save(folder, model.base.card.name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--tokens", type=int, default=2000, help="of the history")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
