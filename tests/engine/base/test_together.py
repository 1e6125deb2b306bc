"""Several streams in one pass, and copies of what a stream has seen: the same states as each alone."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.cache import bytes_of, crop, fork
from nightschool.engine.base.cut import split
from nightschool.engine.base.halves import open_trunk
from nightschool.engine.base.library import load
from nightschool.tests.tiny import FAMILIES, save_tiny, tiny

CUT = 2


@pytest.fixture(params=[*sorted(FAMILIES), "stock mistral", "stock qwen2"], scope="module")
def trunk(request, tmp_path_factory):
    stock, _, family = request.param.rpartition(" ")
    if stock:
        return split(tiny(family), CUT)[0]
    return open_trunk(load(save_tiny(tmp_path_factory.mktemp("together") / family, family)), CUT)


def tokens(length, seed):
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def same(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def whole(trunk, sequence):
    return trunk.sequences([sequence])[0]


def test_streams_of_all_lengths_advance_together(trunk):
    histories = [tokens(length, length) for length in (5, 1, 12, 20)]
    caches = [trunk.new_cache() for _ in histories]
    for counts in ((5, 1, 12, 20), (1, 1, 1, 1), (1, 9, 3, 30)):
        new = [tokens(count, 100 + count) for count in counts]
        if counts[0] == 5:
            new = histories
        else:
            histories = [history + more for history, more in zip(histories, new, strict=True)]
        for found, history, more in zip(trunk.extend_together(new, caches), histories, new, strict=True):
            same(found, whole(trunk, history)[-len(more) :])


def test_a_copy_goes_its_own_way(trunk):
    """A copy of less than all of it, where a window has not dropped what that needs."""
    history = tokens(7, 1)
    cache = trunk.new_cache()
    trunk.extend_together([history], [cache])
    copy = fork(cache, 4, trunk.new_cache())
    (found,) = trunk.extend_together([[1, 2, 3]], [copy])
    same(found, whole(trunk, [*history[:4], 1, 2, 3])[4:])
    (found,) = trunk.extend_together([[9]], [cache])
    same(found, whole(trunk, [*history, 9])[-1:])


def test_a_copy_of_all_of_a_long_past_goes_on(trunk):
    history = tokens(20, 2)
    cache = trunk.new_cache()
    trunk.extend_together([history], [cache])
    copy = fork(cache, 20, trunk.new_cache())
    (found,) = trunk.extend_together([[1, 2]], [copy])
    same(found, whole(trunk, [*history, 1, 2])[-2:])


def test_a_past_that_a_window_dropped_is_not_copied_and_not_cropped_to():
    trunk, _ = split(tiny("mistral"), CUT)
    cache = trunk.new_cache()
    trunk.extend_together([tokens(20, 2)], [cache])
    assert fork(cache, 15, trunk.new_cache()) is None
    assert not crop(cache, 15)


def test_the_bytes_of_a_cache_are_those_of_its_buffers(trunk):
    cache = trunk.new_cache()
    assert bytes_of(cache) == 0
    trunk.extend_together([tokens(20, 2)], [cache])
    held = bytes_of(cache)
    assert held > 0
    trunk.extend_together([tokens(300, 3)], [cache])
    assert bytes_of(cache) >= held
