import torch

from nightschool.engine.chat.sampler import Sampler
from nightschool.schemas.messages import Sampling

LOGITS = torch.tensor([0.0, 3.0, 2.0, 1.0, -1.0])


def draws(count=400, **options):
    sampler = Sampler(Sampling(seed=0, **options))
    return [sampler.choose(LOGITS, [0]) for _ in range(count)]


def test_temperature_zero_takes_the_likeliest():
    assert set(draws(temperature=0.0)) == {1}


def test_frequencies_follow_the_probabilities():
    found = draws(4000, temperature=1.0)
    expected = torch.softmax(LOGITS, dim=0)
    for token, share in enumerate(expected.tolist()):
        assert abs(found.count(token) / 4000 - share) < 0.03


def test_top_k_top_p_and_min_p_leave_the_unlikely_out():
    assert set(draws(temperature=1.0, top_k=2)) == {1, 2}
    assert set(draws(temperature=1.0, top_p=0.5)) == {1}
    assert set(draws(temperature=1.0, min_p=0.3)) == {1, 2}


def test_a_repetition_penalty_reaches_greedy_choices():
    sampler = Sampler(Sampling(temperature=0.0, repetition_penalty=2.0))
    assert sampler.choose(LOGITS, [1]) == 2


def test_logits_are_left_as_they_were():
    logits = LOGITS.clone()
    Sampler(Sampling(temperature=0.7, top_k=2, repetition_penalty=1.3)).choose(logits, [1, 2])
    assert torch.equal(logits, LOGITS)
