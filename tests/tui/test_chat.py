"""Saying something and reading the answer, over the scripted engine."""

from nightschool.schemas.records import Role


async def say(app, pilot, until, text):
    app.chat.prompt.text = text
    await pilot.press("enter")
    await until(lambda: app.chat.talk is None and app.chat.target())


async def test_a_message_is_sent_and_its_reply_streams_as_markdown(opened, engine, until):
    async with opened() as (app, pilot):
        await pilot.press(*"Hello")
        await pilot.press("enter")
        await until(lambda: app.chat.target())
        said, reply = app.chat.transcript.views
        assert said.message.text == "Hello"
        assert said.message.id
        assert reply.message.text == engine.reply
        assert app.chat.prompt.text == ""
        assert [row.role for row in engine.messages.values()] == [Role.USER, Role.ASSISTANT]
        await until(lambda: app.session.conversations)
