"""Real engine processes over real pipes: waking, dying, locking, garbage, and a reply of the tiny model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys

import psutil
import pytest

from nightschool.engine.host.client import EngineClient
from nightschool.engine.paths import Home
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import EngineError, EngineLost, Locked, ModelNotFound, ProtocolError, UsageError
from nightschool.schemas.events import StateEvent
from nightschool.schemas.records import Finish, Role
from nightschool.tui.engine_link import EngineLink

SAMPLING = ask.Sampling(max_tokens=8)
ENDLESS = ask.Sampling(max_tokens=400, temperature=1.0, seed=1)


def states_of(client):
    """Listen for the states an engine tells."""
    states = []
    client.listen(lambda event: states.append(event.status) if isinstance(event, StateEvent) else None)
    return states


def test_the_client_is_what_the_app_wants(home):
    link: EngineLink = EngineClient(home)
    methods = [name for name in vars(EngineLink) if not name.startswith("_")]
    assert all(callable(getattr(link, name)) for name in methods)


async def test_from_waking_to_a_reply_through_death_and_restart(engines, home, tiny_base_folder, wait_until):
    engine = engines(str(tiny_base_folder))
    states, lost = states_of(engine), []
    engine.when_lost(lost.append)
    await engine.start()
    assert (await engine.call(ask.GetStatus())).state == "waking"
    assert [slot.name for slot in await engine.call(ask.ListSlots())][:1] == ["science"]
    conversation = (await engine.call(ask.CreateConversation(slot="science"))).id
    told = []
    reply = await engine.call(ask.SendMessage(conversation=conversation, text="Hi", sampling=SAMPLING), told.append)
    assert "".join(event.text for event in told if event.kind == "reply.delta") == reply.text
    assert reply.role is Role.ASSISTANT
    assert states[-1].state == "ready"
    assert states[-1].base.family == "llama"
    assert all(state.state == "waking" and state.stage for state in states[:-1])
    checks = await engine.call(ask.Doctor())
    assert all(check.ok for check in checks if check.name not in ("machine", "disk")), checks

    # Killed in the middle of a reply: the caller hears of it, and what was stored is still there.
    dying = asyncio.create_task(
        engine.call(ask.SendMessage(conversation=conversation, text="More", sampling=ENDLESS), told.append)
    )
    told.clear()
    await wait_until(lambda: any(event.kind == "reply.delta" for event in told))
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineLost, match="SIGKILL"):
        await dying
    await wait_until(lambda: lost)
    with pytest.raises(EngineLost):
        await engine.call(ask.GetStatus())
    with sqlite3.connect(home.database) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    await engine.restart()
    messages = await engine.call(ask.ListMessages(conversation=conversation))
    assert [message.text for message in messages] == ["Hi", reply.text, "More"]

    # Ended politely in the middle of a reply: what was said is stored.
    told.clear()
    ending = asyncio.create_task(
        engine.call(ask.SendMessage(conversation=conversation, text="Again", sampling=ENDLESS), told.append)
    )
    await wait_until(lambda: any(event.kind == "reply.delta" for event in told))
    await engine.close()
    assert (await ending).finish is Finish.CANCELLED
    assert len(lost) == 1
    assert engine.pid is None


async def test_an_engine_that_finds_no_model_says_so_and_answers_the_rest(engines, tmp_path, wait_until):
    engine = engines(str(tmp_path / "nowhere"))
    states = states_of(engine)
    await engine.start()
    conversation = (await engine.call(ask.CreateConversation(slot="science"))).id
    await wait_until(lambda: states and states[-1].state == "failed")
    status = await engine.call(ask.GetStatus())
    assert status.error_code == "ModelNotFound"
    assert status.error
    with pytest.raises(ModelNotFound):
        await engine.call(ask.SendMessage(conversation=conversation, text="Hi"))
    assert await engine.call(ask.ListMessages(conversation=conversation)) == []


async def test_an_engine_starts_with_the_base_that_the_profile_chose(engines, home, tiny_base_folder, wait_until):
    """Nothing is loaded while it only fetches and chooses; the next start has it, and one of its own at the next."""
    engine = engines()
    states = states_of(engine)
    await engine.start(wake=False)
    row = await engine.call(ask.PullModel(spec=str(tiny_base_folder)))
    assert (await engine.call(ask.GetStatus())).state == "asleep" and not row.loaded
    with pytest.raises(EngineError, match="without a model"):
        conversation = (await engine.call(ask.CreateConversation(slot="science"))).id
        await engine.call(ask.SendMessage(conversation=conversation, text="Hi"))
    assert (await engine.call(ask.UseModel(spec=row.spec))).chosen
    await engine.restart()
    await wait_until(lambda: states[-1].state == "ready")
    assert states[-1].base.fingerprint == row.fingerprint
    assert [one.title for one in (await engine.call(ask.ListModels())).rows if one.loaded] == [row.title]
    await engine.restart(str(home.root / "nowhere"))
    await wait_until(lambda: states[-1].state == "failed")
    await engine.restart("")
    await wait_until(lambda: states[-1].state == "ready")


async def test_a_second_engine_on_a_profile_is_refused(engines, tmp_path, wait_until):
    first, second = engines(str(tmp_path / "nowhere")), engines(str(tmp_path / "nowhere"))
    await first.start()
    await first.call(ask.ListSlots())
    states = states_of(second)
    await second.start()
    with pytest.raises(Locked, match="NIGHTSCHOOL_HOME"):
        await second.call(ask.ListSlots())
    assert (await second.call(ask.GetStatus())).error_code == "Locked"
    assert states[-1].state == "failed"
    await first.close()
    await second.restart()
    assert await second.call(ask.ListSlots())


async def test_lines_that_are_not_ours_are_refused_and_the_engine_goes_on(home, tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nightschool.engine.host.process", "--model", str(tmp_path / "nowhere")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "NIGHTSCHOOL_HOME": str(home.root)},
    )
    process.stdin.write(b"garbage\n\xff\n[]\n" + b"x" * (17 << 20) + b"\n")
    process.stdin.write(b'{"id": 5, "method": "slots.eat"}\n{"id": 6, "method": "engine.status"}\n')
    answers = []
    while not any(answer.get("id") == 6 for answer in answers):
        answers.append(json.loads(await process.stdout.readline()))
    errors = [answer for answer in answers if "error" in answer]
    assert [answer["id"] for answer in errors] == [None, None, None, None, 5]
    assert {answer["error"]["code"] for answer in errors} == {"ProtocolError"}
    process.send_signal(signal.SIGINT)  # the app's to understand, not the engine's
    process.stdin.close()  # the app is gone: the engine follows
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_sigterm_ends_an_engine_cleanly(engines, tmp_path, wait_until):
    engine = engines(str(tmp_path / "nowhere"))
    lost = []
    engine.when_lost(lost.append)
    await engine.start()
    await engine.call(ask.ListSlots())
    os.kill(engine.pid, signal.SIGTERM)
    await wait_until(lambda: lost)
    assert "code 0" in lost[0]


PRINTS = """
import sys, nightschool.engine.host.process as process
from nightschool.engine.host import profile
def noisy(*args, real=profile.open_profile, **more):
    print("a library prints"); sys.stdout.flush()
    import os; os.write(1, b"even so\\n"); os.system("echo and its children")
    return real(*args, **more)
process.open_profile = noisy
process.main()
"""


async def test_what_libraries_print_goes_to_the_log_and_not_into_the_pipe(engines, home, tmp_path):
    engine = engines(str(tmp_path / "nowhere"), PRINTS)
    await engine.start()
    assert await engine.call(ask.ListSlots())
    await engine.close()
    log = (home.logs / "engine.log").read_text()
    assert all(words in log for words in ("a library prints", "even so", "and its children"))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("print('hello', flush=True); input(); input()", "not a message"),
        ("raise SystemExit(3)", "code 3"),
        ("print('{\"id\":1,', end='', flush=True)", "code 0"),
    ],
)
async def test_an_engine_that_is_none_is_lost_with_its_reason(engines, script, says, wait_until):
    engine = engines(script=script)
    lost = []
    engine.when_lost(lost.append)
    await engine.start()
    with pytest.raises(EngineLost):
        await engine.call(ask.GetStatus())
    await wait_until(lambda: lost)
    assert says in lost[0]


LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(child.pid, file=sys.stderr, flush=True)
input()
"""


async def test_an_engine_that_is_killed_leaves_no_study_behind(engines, home, wait_until):
    engine = engines(script=LEAVES_A_CHILD)
    log, lost = home.logs / "engine.log", []
    engine.when_lost(lost.append)
    await engine.start()
    await wait_until(lambda: log.read_text().endswith("\n"))
    child = psutil.Process(int(log.read_text()))
    assert child.status() != psutil.STATUS_ZOMBIE
    os.kill(engine.pid, signal.SIGKILL)
    await wait_until(lambda: lost)
    await wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_an_answer_of_the_wrong_kind_is_refused(engines):
    engine = engines(script='input(); print(\'{"id":1,"result":{"state":"dreaming"}}\', flush=True); input()')
    await engine.start()
    with pytest.raises(ProtocolError):
        await engine.call(ask.GetStatus())


async def test_an_engine_that_cannot_be_asked_says_so(engines, tmp_path):
    engine = engines()
    with pytest.raises(EngineLost):
        await engine.call(ask.GetStatus())
    await engine.close()
    nobody = EngineClient(Home(tmp_path), argv=[str(tmp_path / "no-such-program")])
    with pytest.raises(Exception, match="cannot be started"):
        await nobody.start()
    with pytest.raises(UsageError):
        ask_too_much = engines(script="input()")
        await ask_too_much.start()
        await ask_too_much.call(ask.SendMessage(conversation=1, text="x" * (17 << 20)))


@pytest.mark.model
async def test_the_real_model_answers_and_a_second_turn_follows(engines, default_base_folder):
    engine = engines(str(default_base_folder))
    await engine.start()
    conversation = (await engine.call(ask.CreateConversation(slot="science"))).id
    sampling = ask.Sampling(temperature=0.0, max_tokens=24)
    question = "What is the capital of France?"
    first = await engine.call(ask.SendMessage(conversation=conversation, text=question, sampling=sampling))
    assert "Paris" in first.text
    again = await engine.call(ask.Regenerate(conversation=conversation, sampling=ask.Sampling(max_tokens=4)))
    assert again.id != first.id
