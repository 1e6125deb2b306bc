import pytest
import torch

from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.study.endings import Endings, Fork, fork

TEXTS = [
    [[7, 8, 9, 40, 41], [7, 8, 9, 40, 42, 43], [7, 8, 9, 50]],
    [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 60], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 61]],
]


def test_a_fork_is_what_texts_begin_with_and_how_they_go_on():
    assert fork(TEXTS[0]) == Fork([7, 8, 9], [[40, 41], [40, 42, 43], [50]])
    assert fork([[1, 2], [1, 2, 3]]) == Fork([1], [[2], [2, 3]]), "no way is empty"


def test_each_branch_is_read_once_and_no_sequence_twice():
    endings = Endings.of([fork(texts) for texts in TEXTS])
    assert endings.ways == [3, 2]
    assert endings.inputs == [[7, 8, 9, 40, 42], TEXTS[1][0][:-1]]
    assert len(endings.reads) == 3 + 1


@pytest.mark.parametrize("cut", [0, 2])
def test_log_probabilities_are_those_of_the_whole_model(tiny_base, cut):
    endings = Endings.of([fork(texts) for texts in TEXTS])
    states = open_trunk(tiny_base, cut).sequences(endings.inputs)
    with torch.no_grad():
        found = endings.log_probs(open_tail(tiny_base, cut), states)
        for texts, logs in zip(TEXTS, found, strict=True):
            start = len(fork(texts).tokens)
            for text, log in zip(texts, logs, strict=True):
                rows = tiny_base.model(torch.tensor([text])).logits[0].log_softmax(dim=-1)
                wanted = sum(float(rows[place - 1, text[place]]) for place in range(start, len(text)))
                assert float(log) == pytest.approx(wanted, abs=1e-3)
