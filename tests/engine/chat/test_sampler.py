from itertools import pairwise

import pytest
import torch

from nightschool.engine.chat.sampler import Sampler
from nightschool.schemas.messages import Sampling

LOGITS = torch.tensor([0.0, 3.0, 2.0, 1.0, -1.0])
CHI_SQUARE = {1: 10.8, 2: 13.8, 3: 16.3, 4: 18.5, 16: 39.3}
"""What one in a thousand exceeds, by degrees of freedom."""


def draws(count=400, seed=0, first=1, **options):
    """Draw at as many positions of one conversation."""
    sampler = Sampler(Sampling(seed=seed, **options))
    return [sampler.choose(LOGITS, [1] * position) for position in range(first, first + count)]


def distance(found, expected):
    """Return the chi-square of counts, and its degrees of freedom."""
    wanted = expected / expected.sum() * found.sum()
    kept = wanted > 0
    assert found[~kept].sum() == 0
    return float(((found - wanted)[kept] ** 2 / wanted[kept]).sum()), int(kept.sum()) - 1


def test_temperature_zero_takes_the_likeliest():
    assert set(draws(temperature=0.0)) == {1}


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0},
        {"temperature": 0.7},
        {"temperature": 2.0, "top_k": 3},
        {"temperature": 1.0, "top_p": 0.9},
        {"temperature": 1.5, "min_p": 0.2},
        {"temperature": 1.0, "repetition_penalty": 1.5},
    ],
    ids=str,
)
def test_tokens_follow_the_filtered_distribution(options):
    """Chi-square over the positions of a conversation; what was filtered out never comes."""
    found = torch.bincount(torch.tensor(draws(2000, **options)), minlength=5).double()
    scores = LOGITS.clone()
    if penalty := options.get("repetition_penalty"):
        scores[1] /= penalty  # the history is nothing else
    chances = torch.softmax(scores / options["temperature"], dim=0).double()
    if "top_k" in options:
        chances[chances < chances.sort(descending=True).values[options["top_k"] - 1]] = 0
    if "top_p" in options:
        chances[[0, 4]] = 0  # the likeliest two have 0.87; the third is the one that passes 0.9
    if "min_p" in options:
        chances[chances < options["min_p"] * chances.max()] = 0
    value, degrees = distance(found, chances)
    assert value < CHI_SQUARE[degrees]


def test_many_seeds_at_one_position_follow_it_too():
    found = torch.tensor([draws(1, seed=seed, temperature=1.0)[0] for seed in range(3000)])
    value, degrees = distance(torch.bincount(found, minlength=5).double(), torch.softmax(LOGITS, dim=0).double())
    assert value < CHI_SQUARE[degrees]


def test_one_position_tells_nothing_of_the_next():
    found = draws(4001, temperature=1.5)
    pairs = torch.bincount(torch.tensor([a * 5 + b for a, b in pairwise(found)]), minlength=25)
    table = pairs.double().view(5, 5)
    wanted = table.sum(1, keepdim=True) * table.sum(0, keepdim=True) / table.sum()
    assert float(((table - wanted) ** 2 / wanted).sum()) < CHI_SQUARE[16]


def test_top_k_top_p_and_min_p_leave_the_unlikely_out():
    assert set(draws(temperature=1.0, top_k=2)) == {1, 2}
    assert set(draws(temperature=1.0, top_p=0.5)) == {1}
    assert set(draws(temperature=1.0, min_p=0.3)) == {1, 2}


def test_a_repetition_penalty_reaches_greedy_choices():
    sampler = Sampler(Sampling(temperature=0.0, repetition_penalty=2.0))
    assert sampler.choose(LOGITS, [1]) == 2


def test_logits_are_left_as_they_were():
    logits = LOGITS.clone()
    for temperature in (0.0, 0.7):
        sampler = Sampler(Sampling(temperature=temperature, top_k=2, repetition_penalty=1.3))
        sampler.choose(logits, [1, 2])
        assert sampler.margin > 0
    assert torch.equal(logits, LOGITS)


def test_a_draw_is_that_of_seed_and_position_whatever_was_drawn_before():
    whole = draws(60, temperature=1.5, seed=4)
    assert draws(20, first=41, temperature=1.5, seed=4) == whole[40:]
    assert draws(60, temperature=1.5, seed=5) != whole


def test_without_a_seed_two_samplers_draw_with_different_ones():
    seeds = {Sampler(Sampling(temperature=1.0)).seed for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_nearly_the_same_logits_are_drawn_from_alike():
    """What streaming lives on: shared noise, against the share that independent draws would have in common."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, generator=generator) * 2
    near = logits + torch.randn(200, generator=generator) * 0.2
    one, two = (Sampler(Sampling(temperature=1.0, seed=9)) for _ in range(2))
    same = sum(one.choose(logits, [0] * n) == two.choose(near, [0] * n) for n in range(1000)) / 1000
    independent = float((torch.softmax(logits, 0) * torch.softmax(near, 0)).sum())
    assert same > 0.8 > 3 * independent


def test_the_margin_is_the_lead_over_the_next_best():
    sampler = Sampler(Sampling(temperature=0.0))
    sampler.choose(LOGITS, [0])
    assert sampler.margin == pytest.approx(1.0)
    only = Sampler(Sampling(temperature=1.0, top_k=1))
    only.choose(LOGITS, [0])
    assert only.margin == float("inf")
