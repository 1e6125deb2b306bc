"""What was read of a conversation goes with it, whoever read it."""

from nightschool.engine.host.model_thread import ModelThread
from nightschool.engine.host.plugins import PluginHost


async def test_a_conversation_whose_past_changed_leaves_nothing_that_an_engine_before_had_read(home):
    home.readings.mkdir(parents=True)
    for conversation in (1, 2):
        home.reading(conversation).write_bytes(b"words")
    thread = ModelThread(home, "", PluginHost(), lambda status: None)
    thread.stay_asleep()
    await thread.forget(1)
    assert [path.name for path in home.readings.iterdir()] == ["2.safetensors"]
    await thread.forget(1)
