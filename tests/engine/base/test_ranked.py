"""Two words that lie close are told apart, whatever a head computes in."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.cut import split
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.lean.matrices import Head
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.ranked import REFINED
from nightschool.engine.chat.prompt import prompt_tokens
from nightschool.tests.tiny import tiny

WIDTH, WORDS = 64, 512
COARSE = [Numbers.BF16, Numbers.FP16, Numbers.INT8, Numbers.INT4]


@pytest.fixture
def close():
    """A head whose words 7 and 8 are all but the same at the rows, and better than the others; 8 is the better one."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(WORDS, WIDTH, generator=generator)
    rows = torch.rand(5, WIDTH, generator=generator) + 1.0
    weight[7] = weight[8] = 2.0
    weight[8, 0] += 1 / 64  # one step of bf16 there; the sum is about 200, where bf16 has steps of 1
    return weight.bfloat16().float(), rows


@pytest.mark.parametrize("numbers", COARSE)
@pytest.mark.parametrize("bias", [None, 0.5])
def test_the_likeliest_come_in_their_true_order(close, numbers, bias):
    weight, rows = close
    offset = None if bias is None else torch.linspace(-bias, bias, WORDS)
    exact = rows @ weight.T + (0.0 if offset is None else offset)
    head = Head.of(weight, offset, numbers)
    found = head.ranked(rows)
    assert found.dtype == torch.float32 and found.shape == exact.shape
    assert found.argmax(dim=-1).tolist() == [8] * 5
    best = exact.topk(REFINED // 2, dim=-1)
    torch.testing.assert_close(found.gather(1, best.indices), best.values, atol=1e-2, rtol=1e-5)


def test_a_coarse_head_itself_takes_them_for_one(close):
    weight, rows = close
    said = Head.of(weight, None, Numbers.BF16)(rows)
    assert said.dtype == torch.bfloat16
    assert torch.equal(said[:, 7], said[:, 8])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_a_stock_tail_ranks_too(dtype):
    _, tail = split(tiny("llama").to(dtype), 2)
    rows = torch.randn(3, 5, tail.head.weight.shape[1], generator=torch.Generator().manual_seed(5)).to(dtype)
    exact = rows.float() @ tail.head.weight.float().T
    found = tail.ranked(rows)
    assert found.shape == exact.shape and not torch.equal(tail.head(rows).float().amax(-1), exact.amax(-1))
    torch.testing.assert_close(found.amax(-1), exact.amax(-1))


@pytest.mark.model
@pytest.mark.parametrize("numbers", list(Numbers))
@torch.no_grad()
def test_the_default_model_knows_paris_in_all_numbers(default_base, numbers):
    """In fp32 "The" is 0.08 before "L", with which the answer becomes French verse."""
    base = default_base.computing_in(numbers)
    tokens = prompt_tokens(base, "What is the capital of France?")
    tail = open_tail(base, 8)
    (rows,) = tail.sequences(open_trunk(base, 8).sequences([tokens]))
    assert base.tokenizer.decode(tail.ranked(rows[-1:]).argmax(dim=-1).tolist()) == "The"
