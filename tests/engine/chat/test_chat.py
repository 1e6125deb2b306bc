import asyncio
from pathlib import Path

import pytest
import torch

from nightschool.engine.base.cut import split
from nightschool.engine.chat.chat import Chat, Through, Turn
from nightschool.engine.chat.prompt import fit, prompt_tokens, render
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.errors import PromptTooLong
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Finish, Role

CUT = 2


def user(text):
    return Turn(Role.USER, text)


def assistant(text):
    return Turn(Role.ASSISTANT, text)


@pytest.fixture
def chat(tiny_base):
    return Chat(tiny_base, LocalProvider(tiny_base), CUT)


def ask(
    chat,
    turns,
    *,
    conversation=1,
    adapter=None,
    on_text=lambda text: None,
    cancelled=lambda: False,
    through=None,
    **sampling,
):
    options = {"sampling": Sampling(**{"max_tokens": 12, **sampling}), "on_text": on_text, "cancelled": cancelled}
    return asyncio.run(chat.reply(conversation, turns, system="", adapter=adapter, through=through, **options))


@pytest.fixture
def loud_adapter(tiny_base, tmp_path):
    """An adapter that changes what the tiny base says."""
    tail = split(tiny_base.model, CUT)[1]
    generator = torch.Generator().manual_seed(3)
    factors = {
        place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.5)
        for place, f in new_adapter(tail, 4).factors.items()
    }
    Adapter(factors).save(tmp_path, "tiny")
    return tmp_path


def test_greedy_reply_is_that_of_generate(chat, tiny_base):
    reply = ask(chat, [user("Hello")])
    ids = torch.tensor([prompt_tokens(tiny_base, "Hello")])
    ends = tiny_base.card.end_of_turn
    whole = tiny_base.model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=ends, pad_token_id=ends[0])
    text = tiny_base.tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
    assert reply.text == text.rstrip("\N{REPLACEMENT CHARACTER}")


def test_a_second_turn_computes_only_what_is_new(chat, tiny_base):
    first = ask(chat, [user("Hello there, how are you today?")])
    before = chat.computed
    turns = [user("Hello there, how are you today?"), assistant(first.text), user("Yes")]
    ask(chat, turns, max_tokens=1)
    whole = len(tiny_base.tokenizer(render(tiny_base, turns))["input_ids"])
    assert chat.computed - before < whole / 2


def test_a_second_turn_from_caches_equals_one_from_nothing(chat, tiny_base):
    first = ask(chat, [user("Hello")])
    turns = [user("Hello"), assistant(first.text), user("And now?")]
    fresh = Chat(tiny_base, LocalProvider(tiny_base), CUT)
    assert ask(chat, turns).text == ask(fresh, turns).text


def test_a_changed_history_is_read_again(chat, tiny_base):
    first = ask(chat, [user("Hello")])
    turns = [user("Hello"), assistant("Something else entirely"), user("And now?")]
    assert first.text != "Something else entirely"
    fresh = Chat(tiny_base, LocalProvider(tiny_base), CUT)
    assert ask(chat, turns).text == ask(fresh, turns).text


def test_an_adapter_changes_the_voice_without_reading_the_chat_again(chat, tiny_base, loud_adapter):
    plain = ask(chat, [user("Hello there, my friend")])
    read = chat.computed
    loud = ask(chat, [user("Hello there, my friend")], adapter=loud_adapter)
    assert loud.text != plain.text
    assert chat.computed - read <= loud.tokens + 1  # the prompt's last token, and the reply's own
    fresh = Chat(tiny_base, LocalProvider(tiny_base), CUT)
    assert ask(fresh, [user("Hello there, my friend")], adapter=loud_adapter).text == loud.text


def test_leaving_an_adapter_gives_the_plain_base_back(chat, loud_adapter):
    plain = ask(chat, [user("Hello")])
    ask(chat, [user("Hello")], adapter=loud_adapter)
    assert ask(chat, [user("Hello")]).text == plain.text


def test_pieces_add_up_to_the_reply(chat):
    pieces = []
    reply = ask(chat, [user("Tell me")], on_text=pieces.append, max_tokens=40, temperature=1.5, seed=4)
    assert "".join(pieces) == reply.text


def test_cancelling_keeps_what_was_said_and_the_next_turn_works(chat):
    count = iter(range(100))
    stopped = ask(chat, [user("Tell me")], cancelled=lambda: next(count) >= 4, max_tokens=50)
    assert stopped.finish is Finish.CANCELLED
    assert stopped.tokens <= 4
    again = ask(chat, [user("Tell me"), assistant(stopped.text), user("Go on")])
    assert again.finish in (Finish.LENGTH, Finish.STOP)


def test_the_same_seed_says_the_same_and_another_does_not(chat):
    say = [ask(chat, [user("Hi")], temperature=2.0, seed=seed, conversation=n).text for n, seed in enumerate((1, 1, 2))]
    assert say[0] == say[1] != say[2]


def test_a_message_beyond_the_context_is_refused_in_words(chat):
    with pytest.raises(PromptTooLong, match="shorten it"):
        ask(chat, [user("x" * 100_000)])


def test_old_turns_go_when_the_context_is_full(tiny_base):
    turns = [turn for number in range(30) for turn in (user(f"Question {number}?"), assistant("Because."))]
    text = fit(tiny_base, [*turns, user("The last one?")], "Be kind.", room=64)
    assert "Question 0?" not in text
    assert "Be kind." in text
    assert "The last one?" in text
    assert len(tiny_base.tokenizer(text)["input_ids"]) <= tiny_base.card.context // 2


def test_a_failure_leaves_no_caches_behind(chat, loud_adapter):
    def fail(text):
        raise RuntimeError("the listener died")

    with pytest.raises(RuntimeError):
        ask(chat, [user("Hello")], on_text=fail, max_tokens=30)
    assert ask(chat, [user("Hello")]).text


@pytest.mark.model
def test_the_default_model_knows_paris_and_reuses_its_cache(default_base):
    chat = Chat(default_base, LocalProvider(default_base), 8)
    first = ask(chat, [user("What is the capital of France?")])
    assert first.text == "The capital of France is Paris."
    assert first.finish is Finish.STOP
    read = chat.computed
    turns = [user("What is the capital of France?"), assistant(first.text), user("And of Germany?")]
    assert "Berlin" in ask(chat, turns).text
    assert chat.computed - read < 32


def test_a_missing_adapter_folder_is_said(chat, tmp_path):
    from nightschool.schemas.errors import StorageError

    with pytest.raises(StorageError):
        ask(chat, [user("Hello")], adapter=Path(tmp_path / "gone"))


class Noting(LocalProvider):
    """Counts the sessions that were begun."""

    def __init__(self, base):
        super().__init__(base)
        self.begun = 0

    def open(self, cut):
        self.begun += 1
        return super().open(cut)


def test_a_conversation_leaves_a_provider_whose_settings_changed_though_its_name_did_not(tiny_base):
    before, after = Noting(tiny_base), Noting(tiny_base)
    chat = Chat(tiny_base, before, CUT)
    replies = {ask(chat, [user("Hello")], through=Through("gpu", one)).text for one in (before, after, after)}
    assert after.begun == 1
    assert len(replies) == 1
