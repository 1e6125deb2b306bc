"""What sequences begin with alike is one stretch of rows, and each still comes out whole."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.lean.packing import in_order, pack

SYSTEM = list(range(20))
BATCH = [[*SYSTEM, 7, 8, 9], [99, 98], [*SYSTEM, 7, 8, 5, 4], [*SYSTEM, 3], [*SYSTEM, 7, 8, 9], SYSTEM]


def rows_of(batch):
    return [torch.tensor(tokens)[:, None] for tokens in batch]


@pytest.mark.parametrize("alike", [True, False])
def test_every_sequence_comes_out_whole(alike):
    packing = pack([len(tokens) for tokens in BATCH], BATCH if alike else None)
    rows = packing.rows(rows_of(BATCH))
    assert len(rows) == sum(packing.own) == len(packing.positions)
    for got, expected in zip(packing.whole(rows), rows_of(BATCH), strict=True):
        assert torch.equal(got, expected)
    positions = packing.whole(packing.positions)
    assert all(torch.equal(places, torch.arange(len(tokens))) for places, tokens in zip(positions, BATCH, strict=True))


def test_a_beginning_that_several_have_is_there_once():
    packing = pack([len(tokens) for tokens in BATCH], BATCH)
    # The system prompt and " 3", then "7 8", its two endings, the twin's last token, and the stranger.
    assert sum(packing.own) == 20 + 1 + (2 + 2) + 1 + 1 + 2
    assert sum(pack([len(tokens) for tokens in BATCH]).own) == sum(map(len, BATCH))


def test_rows_that_fill_up_a_pass_are_nobodys():
    packing = pack([len(tokens) for tokens in BATCH], BATCH, multiple=64)
    rows = packing.rows(rows_of(BATCH))
    assert len(rows) == len(packing.positions) == 64 > sum(packing.own)
    assert sum(map(len, packing.split(rows))) == sum(packing.own)
    for some in (packing, pack([len(tokens) for tokens in BATCH], multiple=64)):
        for got, expected in zip(some.whole(some.rows(rows_of(BATCH))), rows_of(BATCH), strict=True):
            assert torch.equal(got, expected)


def test_a_few_tokens_alike_are_not_worth_looking_for():
    batch = [[1, 2, 3, 4, 5], [1, 2, 3, 6, 7]]
    assert pack([5, 5], batch).starts == [0, 0]


def test_those_that_begin_alike_are_neighbours():
    assert in_order(4, [[2, 1], [1, 5], [2, 0], [1]]) == [3, 1, 2, 0]
    assert in_order(3, None) == [0, 1, 2]
