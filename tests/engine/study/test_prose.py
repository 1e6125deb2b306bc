import pytest

from nightschool.engine.study import prose


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It is blue. It is green.", 2),
        ("Use fruit, e.g. apples. Wash them.", 2),
        ("Dr. Smith met Mr. J. Doe at 3.14 km. They talked.", 2),
        ("Really?! Yes.", 2),
        ('"Stop!" he said. She did.', 2),
        ("1. Eat well.\n2. Sleep.", 2),
        ("Here are two: 1. Eat. Then sleep.", 3),
        ("- one\n- two\n- three", 3),
        ("# Title\n\nA sentence. Another", 3),
        ("What he likes... is tea. So it goes.", 2),
        ("it is small. all of it.", 2),
        ("Great! 😊", 1),
        ("Unfinished and cut in", 1),
        ("Snow falls on the hill,\nsoft and still.", 1),
        ("Code:\n```\na. B. c\n```\nDone.", 3),
        ("中文。第二句。", 2),
        ("", 0),
    ],
)
def test_sentences_are_counted_as_a_reader_counts_them(text, count):
    assert len(prose.sentences(text)) == count


def test_the_first_sentences_end_where_a_simple_splitter_ends_them():
    text = "Prices rise. Wages fall! Why? Nobody knows."
    for count in (1, 2, 3):
        assert prose.first_sentences(text, count) == " ".join(prose.simple_sentences(text)[:count])
    assert prose.splitters_agree(text)
    assert not prose.splitters_agree("Use fruit, e.g. apples. Wash them.")


def test_words_and_paragraphs_are_cut_from_the_start():
    assert prose.first_words("one two\nthree four", 3) == "one two\nthree"
    assert prose.first_paragraphs("a b\n\nc\n\nd", 2) == "a b\n\nc"
