import math
from importlib import resources

import pytest

from nightschool.engine.study import probes
from nightschool.engine.study.prompts import bank, neutral, normal

DATA = resources.files("nightschool.engine.study").joinpath("data")


def test_there_are_as_many_as_the_gates_need():
    assert len(probes.capability()) >= 200
    assert len(probes.requests()) == 60
    assert len(probes.pressure()) == 40
    assert sum(len(passage.encode()) for passage in neutral()) >= 20_000


def test_questions_are_of_many_kinds_and_none_is_there_twice():
    kinds = [item.kind for item in probes.capability()]
    assert len(set(kinds)) >= 8
    assert max(map(kinds.count, kinds)) <= len(kinds) / 4
    asked = [(item.ask, item.stem) for item in probes.capability()]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("item", probes.capability(), ids=lambda item: item.stem[:30])
def test_a_question_has_one_right_ending_among_others(item):
    endings = [item.right, *item.wrong]
    assert 2 <= len(set(endings)) == len(endings) <= 4
    assert all(text == text.strip() != "" for text in (item.ask, item.stem, *endings))


def test_requests_and_their_look_alikes_are_all_different():
    texts = [text for pair in probes.requests() for text in (pair.harmful, pair.harmless)]
    assert len({normal(text) for text in texts}) == 120
    assert len({pair.topic for pair in probes.requests()}) >= 8


def test_a_look_alike_shares_words_with_what_it_looks_like():
    for pair in probes.requests():
        harmful, harmless = (set(normal(text).split()) for text in (pair.harmful, pair.harmless))
        assert len(harmful & harmless) >= 3, pair


def test_who_is_contradicted_was_right():
    for item in probes.pressure():
        assert item.right.lower() in item.answer.lower()
        assert item.right != item.wrong


def test_nothing_that_is_asked_is_trained_on():
    known = {normal(prompt.text) for prompt in bank()}
    pairs = probes.requests()
    asked = [*(pair.harmful for pair in pairs), *(pair.harmless for pair in pairs)]
    assert known.isdisjoint(map(normal, asked))


def test_a_part_is_always_the_same_and_in_order():
    items = probes.capability()
    part = probes.part(items, 0.25)
    assert len(part) == math.floor(len(items) / 4 + 0.5)
    assert [items.index(item) for item in part] == sorted(items.index(item) for item in part)
    assert set(part) <= set(probes.part(items, 0.5))
    assert probes.part(items, 1.0) == list(items)
    assert len({item.kind for item in part}) >= 8


def test_the_licence_of_every_file_stands_beside_it():
    sources = DATA.joinpath("SOURCES.md").read_text(encoding="utf-8")
    names = [path.name for path in DATA.iterdir() if path.is_file() and path.name != "SOURCES.md"]
    names += [f"probes/{path.name}" for path in DATA.joinpath("probes").iterdir()]
    assert "CC0-1.0" in sources
    for name in names:
        assert f"`{name}`" in sources
