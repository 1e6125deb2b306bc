"""Imports and exports through the service and through a real engine: told, stopped, one at a time, without a base."""

from __future__ import annotations

import asyncio
import json

import pytest

from nightschool.schemas import messages as ask
from nightschool.schemas.errors import ImportRunning, ImportStopped, NotFound, NotReadable, UsageError
from nightschool.schemas.exchange import ExportForm


@pytest.fixture
def chats(tmp_path):
    """A file of many OpenAI-style chats."""

    def write(count):
        file = tmp_path / "chats.jsonl"
        with file.open("w") as stream:
            for number in range(count):
                turns = [
                    {"role": "user", "content": f"Question {number}"},
                    {"role": "assistant", "content": "Yes. " * 40},
                ]
                stream.write(json.dumps({"messages": turns}) + "\n")
        return str(file)

    return write


async def test_a_file_is_previewed_imported_found_continued_and_written(desk, chats, tmp_path):
    file = chats(3)
    seen = await desk.ask(ask.PreviewImport(file=file))
    assert seen.found.new == 3 and await desk.ask(ask.ListConversations()) == []
    done = await desk.ask(ask.RunImport(file=file, slot="gaming"))
    assert done.found == seen.found and len(done.conversations) == 3
    assert (await desk.ask(ask.SearchConversations(query="question 2")))[0].slot == "gaming"
    reply = await desk.say("And then?", done.conversations[0])
    assert reply.text == desk.chat.answer
    assert desk.chat.asked[0].turns[0].text == "Question 0"
    target = str(tmp_path / "out.jsonl")
    written = await desk.ask(ask.ExportConversations(file=target, form=ExportForm.NIGHTSCHOOL, slot="gaming"))
    assert written.conversations == 3 and written.file == target
    told = desk.events("import.progress")
    assert {event.stage for event in told} == {"Reading", "Importing", "Writing"}
    assert {event.file for event in told} == {file, target} and all(event.fraction <= 1.0 for event in told)


async def test_nothing_of_it_needs_a_base(desk, chats):
    desk.model.awake.clear()
    assert (await desk.ask(ask.RunImport(file=chats(1)))).found.new == 1


async def test_one_import_at_a_time_which_can_be_stopped(desk, chats, wait_until):
    file = chats(2000)
    work = asyncio.create_task(desk.ask(ask.RunImport(file=file)))
    await wait_until(lambda: desk.events("import.progress"))
    assert await desk.ask(ask.ListSlots()), "the engine does not answer meanwhile"
    with pytest.raises(ImportRunning):
        await desk.ask(ask.PreviewImport(file=file))
    assert await desk.ask(ask.CancelImport())
    stopped = await work
    assert stopped.cancelled and stopped.found.new < 2000
    assert not await desk.ask(ask.CancelImport())
    rest = await desk.ask(ask.RunImport(file=file))
    assert rest.found.known == stopped.found.new and rest.found.new + rest.found.known == 2000


async def test_closing_the_engine_stops_an_import(desk, chats, wait_until):
    work = asyncio.create_task(desk.ask(ask.PreviewImport(file=chats(2000))))
    await wait_until(lambda: desk.events("import.progress"))
    await desk.service.close()
    with pytest.raises(ImportStopped):
        await work


async def test_what_cannot_be_is_refused(desk, tmp_path, chats):
    with pytest.raises(UsageError, match="whole path"):
        await desk.ask(ask.PreviewImport(file="chats.jsonl"))
    with pytest.raises(NotFound):
        await desk.ask(ask.PreviewImport(file=str(tmp_path / "none")))
    (tmp_path / "x").write_text("x")
    with pytest.raises(NotReadable):
        await desk.ask(ask.RunImport(file=str(tmp_path / "x")))
    with pytest.raises(NotFound):
        await desk.ask(ask.RunImport(file=chats(1), slot="nosuch"))
    assert (await desk.ask(ask.RunImport(file=chats(1)))).found.new == 1, "a refused import left the way closed"


async def test_a_real_engine_without_a_model_imports(engines, chats):
    engine = engines()
    await engine.start(wake=False)
    told = []
    done = await engine.call(ask.RunImport(file=chats(200)), told.append)
    assert done.found.new == 200 and {event.kind for event in told} == {"import.progress"}
    with pytest.raises(NotReadable):
        await engine.call(ask.PreviewImport(file=str(engine.home.database)))
