import pytest
import torch

from nightschool.engine.chat.chat import Chat
from nightschool.engine.chat.prompt import encode, render
from nightschool.engine.chat.routing import Routing, asked_tokens, features
from nightschool.engine.slots.generations import ROUTER
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.errors import Damaged
from nightschool.tests.engine.chat.test_chat import CUT, ask, assistant, loud_adapter, user

__all__ = ["loud_adapter"]

FITTED = {"weight": torch.ones(3)}


class Scripted:
    """Says what it is told, turn by turn, and remembers what it was shown."""

    name = "scripted"

    def __init__(self, *answers):
        self.answers, self.seen = list(answers), []

    def fit(self, inside, outside):
        return FITTED

    def applies(self, fitted, features):
        assert fitted.keys() == FITTED.keys()
        self.seen.append(features)
        return self.answers.pop(0)


class Counting(LocalProvider):
    """Counts the tokens that go through the trunk."""

    def __init__(self, base):
        super().__init__(base)
        self.asked = 0

    def open(self, cut):
        session = super().open(cut)
        extend = session.extend

        async def counted(position, tokens):
            self.asked += len(tokens)
            return await extend(position, tokens)

        session.extend = counted
        return session


def routed(base, folder, *answers):
    router = Scripted(*answers)
    Routing(router, FITTED).save(folder)
    return Chat(base, LocalProvider(base), CUT, routers=[router]), router


def fresh(base, turns, adapter):
    return ask(Chat(base, LocalProvider(base), CUT), turns, adapter=adapter).text


QUESTIONS = ["Hello there", "What is rust?", "And why?", "Thank you"]


@pytest.mark.parametrize("answers", [(True, False, True, False), (False, False, True, True)])
def test_the_plain_base_answers_where_no_lesson_applies(tiny_base, loud_adapter, answers):
    chat, _ = routed(tiny_base, loud_adapter, *answers)
    turns = []
    for question, applies in zip(QUESTIONS, answers, strict=True):
        turns.append(user(question))
        said = ask(chat, turns, adapter=loud_adapter).text
        assert said == fresh(tiny_base, turns, loud_adapter if applies else None)
        assert said != fresh(tiny_base, turns, None if applies else loud_adapter)
        turns.append(assistant(said))


def test_asking_costs_no_pass_through_the_trunk(tiny_base, loud_adapter):
    counts = []
    for routers in ([], [Scripted(True, True)]):
        Routing(Scripted(), FITTED).save(loud_adapter)
        provider = Counting(tiny_base)
        chat = Chat(tiny_base, provider, CUT, routers=routers)
        first = ask(chat, [user("Hello")], adapter=loud_adapter).text
        ask(chat, [user("Hello"), assistant(first), user("And why?")], adapter=loud_adapter)
        counts.append(provider.asked)
    assert counts[0] == counts[1]


def test_a_router_sees_the_question_and_not_what_was_said_before(tiny_base, loud_adapter):
    chat, router = routed(tiny_base, loud_adapter, True, True)
    turns = [user("Tell me about the sea"), assistant("It is wide."), user("What is rust?")]
    ask(chat, turns, adapter=loud_adapter)
    text = render(tiny_base, turns)
    states = LocalProvider(tiny_base)
    session = states.open(CUT)
    import asyncio

    rows = asyncio.run(session.extend(0, encode(tiny_base, text))).rows
    asked = len(encode(tiny_base, text[text.rindex("What is rust?") :]))
    assert asked_tokens(tiny_base, text, "What is rust? ") == asked
    torch.testing.assert_close(router.seen[0], features(rows, asked))
    assert router.seen[0].shape == (2 * rows.shape[1],)


def test_a_router_is_asked_again_when_a_reply_is_made_anew(tiny_base, loud_adapter):
    chat, router = routed(tiny_base, loud_adapter, False, True)
    plain = ask(chat, [user("Hello")], adapter=loud_adapter).text
    loud = ask(chat, [user("Hello")], adapter=loud_adapter).text
    assert plain != loud
    torch.testing.assert_close(router.seen[0], router.seen[1], rtol=1e-3, atol=1e-3)


def test_a_router_that_nobody_supplies_is_not_asked(tiny_base, loud_adapter):
    Routing(Scripted(), FITTED).save(loud_adapter)
    for routers in ([], [type("Other", (), {"name": "other"})()]):
        chat = Chat(tiny_base, LocalProvider(tiny_base), CUT, routers=routers)
        said = ask(chat, [user("Hello")], adapter=loud_adapter).text
        assert said == fresh(tiny_base, [user("Hello")], loud_adapter)


def test_a_damaged_router_is_refused_in_words(tiny_base, loud_adapter):
    chat, _ = routed(tiny_base, loud_adapter, True)
    (loud_adapter / ROUTER).write_bytes(b"\xff" * 40)
    with pytest.raises(Damaged, match="does not read back"):
        ask(chat, [user("Hello")], adapter=loud_adapter)
