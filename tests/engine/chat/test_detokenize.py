import pytest

from nightschool.engine.chat.detokenize import Detokenizer
from nightschool.tests.tiny import tiny_tokenizer

TEXTS = ["plain words", "naïve café", "日本語のテキスト", "smile 🙂 and 👩‍👩‍👧 family", "tabs\tand\nlines", "é" * 50]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_whole_characters_and_add_up(text):
    tokenizer = tiny_tokenizer()
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.feed(token) for token in tokenizer(text)["input_ids"]]
    pieces.append(detokenizer.flush())
    assert "".join(pieces) == text
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)


def test_half_a_character_at_the_end_is_left_out():
    tokenizer = tiny_tokenizer()
    detokenizer = Detokenizer(tokenizer)
    for token in tokenizer("ok 🙂")["input_ids"][:-2]:
        detokenizer.feed(token)
    detokenizer.flush()
    assert detokenizer.text == "ok "


@pytest.mark.model
@pytest.mark.parametrize("text", TEXTS)
def test_the_default_tokenizer_streams_what_it_decodes(default_base, text):
    detokenizer = Detokenizer(default_base.tokenizer)
    tokens = default_base.tokenizer(text)["input_ids"]
    pieces = [detokenizer.feed(token) for token in tokens] + [detokenizer.flush()]
    assert "".join(pieces) == default_base.tokenizer.decode(tokens)
