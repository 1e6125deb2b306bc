"""The noise is what its page says, uniform once undone, and unlike itself from place to place."""

import math

import pytest
import torch

from nightschool.engine.chat.noise import gumbel, output

TOKENS = torch.arange(20_000)


def uniforms(seed, position, tokens=TOKENS):
    return torch.exp(-torch.exp(-gumbel(seed, position, tokens)))


def test_the_generator_is_splitmix64():
    """Against the outputs that its reference code gives for these seeds."""
    assert [output(1234567, number) for number in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    assert output(0, 0) == 0xE220A8397B1DCDAF


def test_any_tokens_noise_is_had_alone():
    assert torch.equal(gumbel(7, 3, torch.tensor([4, 19_000])), gumbel(7, 3, TOKENS)[[4, 19_000]])


def test_noise_is_that_of_the_formula_whatever_the_seed():
    for seed in (0, 1, -1, 2**53 - 1, 2**64 + 5):
        x = output(output(seed, 11), 42)
        wanted = -math.log(-math.log(((x >> 11) + 0.5) * 2.0**-53))
        assert gumbel(seed, 11, torch.tensor([42])).item() == pytest.approx(wanted, abs=1e-12)
    assert torch.equal(gumbel(2**64 + 5, 0, TOKENS), gumbel(5, 0, TOKENS))


def test_noise_undone_is_uniform():
    counts = torch.histc(uniforms(1, 2), bins=20, min=0, max=1)
    expected = len(TOKENS) / 20
    assert float(((counts - expected) ** 2 / expected).sum()) < 43.8  # chi-square, 19 degrees, one in a thousand


@pytest.mark.parametrize(
    "other", [(1, 3), (2, 2), (1, 2 + 2**32), (2**32 + 1, 2)], ids=["position", "seed", "far", "high bits"]
)
def test_places_and_seeds_are_independent(other):
    """Correlation and the joint fourfold table of two fields of noise."""
    one, two = uniforms(1, 2), uniforms(*other)
    correlation = float(torch.corrcoef(torch.stack([one, two]))[0, 1])
    assert abs(correlation) < 3.3 / math.sqrt(len(TOKENS))
    cells = torch.bincount((one * 4).long() * 4 + (two * 4).long(), minlength=16).double()
    expected = len(TOKENS) / 16
    assert float(((cells - expected) ** 2 / expected).sum()) < 37.7  # 15 degrees, one in a thousand


def test_neighbouring_tokens_are_independent():
    values = uniforms(5, 9)
    pairs = torch.stack([values[:-1], values[1:]])
    assert abs(float(torch.corrcoef(pairs)[0, 1])) < 3.3 / math.sqrt(len(TOKENS))
