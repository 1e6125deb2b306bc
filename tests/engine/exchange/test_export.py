import json

from nightschool.engine.exchange.export import to_markdown, to_openai_line
from nightschool.engine.records import Records
from nightschool.schemas.records import Role


def test_markdown_shows_who_said_what_and_nothing_a_terminal_obeys(records: Records) -> None:
    talk = records.create_conversation("science")
    records.add_message(talk.id, Role.USER, "What is\x1b[2J \x00iron?\r\nTell\tme.")
    reply = records.add_message(talk.id, Role.ASSISTANT, "A metal.")
    records.edit_message(reply.id, "A *metal*.\x9b31m")
    text = to_markdown(records.conversation(talk.id), records.messages(talk.id))
    assert text.startswith("# What is [2J iron?\n\nscience · ")
    assert "## You\n\nWhat is[2J iron?\nTell\tme.\n\n## Night School (edited by you)\n\nA *metal*.31m\n" in text


def test_an_openai_line_parses_back_to_the_same_text(records: Records) -> None:
    talk = records.create_conversation("science")
    said = "ümlaut \x00\x1b[2J\x7f\x9b \u2028 \ue000 🚀\n\\u0041"
    records.add_message(talk.id, Role.USER, said)
    records.add_message(talk.id, Role.ASSISTANT, "Yes.")
    line = to_openai_line(records.messages(talk.id), system="Be brief.")
    assert json.loads(line) == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": said},
            {"role": "assistant", "content": "Yes."},
        ]
    }
    assert "ümlaut" in line
    assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 for sign in line)
    assert "system" not in to_openai_line(records.messages(talk.id))
