"""The whole of it on the real default model: chat, correct, study, follow in a fresh conversation, and back again."""

import asyncio

import pytest

from nightschool.engine.host.client import EngineClient
from nightschool.engine.paths import Home
from nightschool.schemas.messages import (
    CreateConversation,
    EditReply,
    ListLessons,
    ListVersions,
    Rollback,
    Sampling,
    SendMessage,
    StartStudy,
)
from nightschool.schemas.records import LessonState, StudyState

# Half of the prompts, steps and probes: what a study with the usual numbers learns is measured by bench/stick.py.
BRIEF = """[study]
spread = 32
contrast = 28
anchors = 16
steps = 48
held_out = 8
probed = 0.25
"""
SHORT = Sampling(temperature=0.0, max_tokens=24)
UNSEEN = ["Why is the sky blue?", "What is a black hole?", "Who was Marie Curie?", "What is a haiku?"]


@pytest.mark.model
@pytest.mark.timeout(1500)
def test_a_correction_sticks_in_fresh_conversations_and_can_be_taken_back(default_base_folder, tmp_path):
    home = Home(tmp_path)
    home.models.symlink_to(default_base_folder.parent, target_is_directory=True)
    home.config.write_text(BRIEF)
    asyncio.run(_play(EngineClient(home)))


async def _play(engine):
    await engine.start()
    try:
        chat = await engine.call(CreateConversation(slot="professional"))
        reply = await engine.call(SendMessage(conversation=chat.id, text="What is inflation?", sampling=SHORT))
        edited = f"Captain, {reply.text[:1].lower()}{reply.text[1:]}"
        await engine.call(EditReply(message=reply.id, text=edited))
        (lesson,) = await engine.call(ListLessons(slot="professional"))
        assert lesson.state is LessonState.APPROVED
        assert "Captain" in lesson.rule
        assert not any(map(_follows, await _ask(engine)))

        told = []
        engine.listen(told.append)
        study = await engine.call(StartStudy(slot="professional"))
        assert study.state is StudyState.ACCEPTED, study.reason
        assert any(event.kind == "study.progress" and event.step for event in told)
        (after, before) = await engine.call(ListVersions(slot="professional"))
        assert after.current
        assert after.lessons == [lesson.id]
        assert before.number == 0
        assert sum(map(_follows, await _ask(engine))) >= len(UNSEEN) - 1

        await engine.call(Rollback(slot="professional"))
        assert not any(map(_follows, await _ask(engine)))
        (lesson,) = await engine.call(ListLessons(slot="professional"))
        assert lesson.state is LessonState.PROPOSED
    finally:
        await engine.close()


async def _ask(engine):
    replies = []
    for prompt in UNSEEN:
        fresh = await engine.call(CreateConversation(slot="professional"))
        replies.append(await engine.call(SendMessage(conversation=fresh.id, text=prompt, sampling=SHORT)))
    return [reply.text for reply in replies]


def _follows(text):
    return text.startswith("Captain,")
