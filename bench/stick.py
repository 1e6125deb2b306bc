"""The learning benchmark: one correction, one study, and is it followed in fresh conversations?

    python bench/stick.py --cases bench/cases/own.jsonl --json

Each case is played in a fresh profile through the real engine process: chat, correction (an edit, a sentence, or both),
study, fresh conversations. Everything is greedy. One JSON line for each case and one with the means; what the keys are,
says the format of the learning cases: ``stick`` is what the user gets, also where the gates turned the version away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from nightschool.bench.checks import Case, holds, load_cases, rewrite
from nightschool.bench.distance import Scale
from nightschool.engine.host.client import EngineClient
from nightschool.engine.paths import Home
from nightschool.engine.slots.store import SlotStore
from nightschool.schemas.errors import NightSchoolError
from nightschool.schemas.messages import (
    CreateConversation,
    EditReply,
    ListLessons,
    ListMessages,
    Sampling,
    SendMessage,
    StartStudy,
    UpdateLesson,
)
from nightschool.schemas.records import LessonState, Message, Role, Study, StudyState

FILLER = [
    "What is the capital of Portugal?",
    "How many legs does a spider have?",
    "What colour do you get from blue and yellow?",
    "What is 6 times 7?",
    "Name a fruit that is red.",
    "What do bees make?",
    "What is the first month of the year?",
    "Which planet is the largest?",
    "What is frozen water called?",
    "How many days are in a week?",
]
"""Ten unrelated turns between a rule that was only said and the question it should still govern."""


def main() -> int:
    """Play every case and print its figures."""
    options = _options()
    cases = [case for case in load_cases(options.cases) if not options.only or case.id in options.only]
    scale = Scale(options.model)
    chosen = {"trainer": options.trainer, "router": options.router}
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in chosen.items() if value)
    rows = []
    for case in cases:
        row = asyncio.run(play(case, scale, options.model, settings))
        rows.append(row)
        _print(row, options.json)
    _print(summary(rows), options.json)
    return 0


async def play(case: Case, scale: Scale, model: str, settings: str = "") -> dict[str, Any]:
    """Play one case in a profile of its own, with ``settings`` as its config.toml, and return its figures."""
    with tempfile.TemporaryDirectory(prefix="nightschool-stick-") as folder:
        home = Home(Path(folder))
        # The prepared base is the only thing that a fresh profile may take over from an older one: it is a download.
        home.models.symlink_to(scale.models, target_is_directory=True)
        if settings:
            home.config.write_text(settings)
        engine = EngineClient(home, model)
        await engine.start()
        try:
            study, reason = await _teach(engine, case)
            # A reply that must be finished may take up to twice the length (the format of the cases).
            limit = case.max_tokens * (2 if "'ends'" in repr(case.check.model_dump(by_alias=True)) else 1)
            replies = [await _ask(engine, case.slot, probe, limit) for probe in case.probes]
            outside = [await _ask(engine, case.slot, prompt, case.max_tokens) for prompt in case.outside]
            opposite = [await _ask(engine, case.slot, item.prompt, case.max_tokens) for item in case.opposites]
        finally:
            await engine.close()
        plain = scale.measure(case, FILLER, limit)
        distances = scale.distances(case, SlotStore(home.slots).adapter_folder(case.slot))
    report = study.report if study is not None else None
    return {
        "id": case.id,
        "stick": _share([holds(case.check, reply) for reply in replies]),
        **plain,
        "leak": _share([holds(case.check, reply) for reply in outside]) if outside else None,
        "opposite": _share([holds(o.check, reply) for o, reply in zip(case.opposites, opposite, strict=True)]),
        **distances,
        "accepted": study is not None and study.state is StudyState.ACCEPTED,
        "reason": reason or (study.reason if study is not None else ""),
        "seconds": report.seconds if report else None,
        "steps": report.steps if report else 0,
        "adapter_bytes": report.adapter_bytes if report else 0,
        **({"router": report.router.model_dump(mode="json")} if report and report.router else {}),
        "misses": [
            {"prompt": probe, "reply": reply}
            for probe, reply in zip(case.probes, replies, strict=True)
            if not holds(case.check, reply)
        ],
    }


async def _teach(engine: EngineClient, case: Case) -> tuple[Study | None, str]:
    """Correct the model as the case says, then study; return the study, or why there was none."""
    for prompt in case.teach:
        conversation = await engine.call(CreateConversation(slot=case.slot))
        reply = await engine.call(
            SendMessage(conversation=conversation.id, text=prompt, sampling=_greedy(case.max_tokens))
        )
        if case.mode in ("edit", "both"):
            await engine.call(EditReply(message=reply.id, text=rewrite(case.rewrite, reply.text)))
        if case.mode in ("say", "both"):
            await engine.call(
                SendMessage(conversation=conversation.id, text=case.say, sampling=_greedy(case.max_tokens))
            )
    # The person has seen the mark beside the message; one who means it approves what is only proposed.
    for lesson in await engine.call(ListLessons(slot=case.slot, states=[LessonState.PROPOSED])):
        if lesson.steps and len(await engine.call(ListLessons(slot=case.slot))) == 1:
            await engine.call(UpdateLesson(lesson=lesson.id, state=LessonState.APPROVED))
    try:
        return await engine.call(StartStudy(slot=case.slot)), ""
    except NightSchoolError as error:
        return None, str(error)


async def _ask(engine: EngineClient, slot: str, prompt: str, limit: int) -> str:
    conversation = await engine.call(CreateConversation(slot=slot))
    reply: Message = await engine.call(SendMessage(conversation=conversation.id, text=prompt, sampling=_greedy(limit)))
    messages = await engine.call(ListMessages(conversation=conversation.id))
    assert [message.role for message in messages] == [Role.USER, Role.ASSISTANT], "a fresh conversation"
    return reply.text


def _greedy(limit: int) -> Sampling:
    return Sampling(temperature=0.0, max_tokens=limit)


def _share(values: list[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over the cases."""
    numbers = ("stick", "before", "oracle", "decayed", "leak", "opposite", "opposite_base", "kl_kept", "kl_neutral")
    keys = (*numbers, "neutral_loss_rise", "seconds", "steps", "adapter_bytes")
    found = {key: [row[key] for row in rows if row.get(key) is not None] for key in keys}
    means = {key: statistics.fmean(values) for key, values in found.items() if values}
    return {"summary": True, "cases": len(rows), "accepted": _share([row["accepted"] for row in rows]), **means}


def _print(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({key: value for key, value in row.items() if key != "misses"}), flush=True)
        for miss in row.get("misses", []):
            print(f"miss {row['id']}: {miss['prompt']} -> {miss['reply']!r}", file=sys.stderr, flush=True)
        return
    for key, value in row.items():
        print(f"{key:>18}  {value}")
    print(flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True, help="a file of learning cases, one JSON object a line")
    parser.add_argument("--only", action="append", help="play this case only; may be given several times")
    parser.add_argument("--model", default="", help="the base; the default model if not given")
    parser.add_argument("--trainer", default="", help="what makes the adapter; tail_lora if not given")
    parser.add_argument("--router", default="", metavar="NAME", help="what tells where lessons apply, as ridge; none")
    parser.add_argument("--json", action="store_true", help="one JSON object a line; misses go to standard error")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
