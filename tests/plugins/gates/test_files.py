import dataclasses

import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.study.candidate import Candidate

from .conftest import SMALL, failed


@pytest.fixture
def learned(whole):
    """An adapter that changes what is said."""
    generator = torch.Generator().manual_seed(1)
    fresh = new_adapter(whole.tail, 4)
    return Adapter(
        {
            place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.1)
            for place, f in fresh.factors.items()
        }
    )


@pytest.fixture
def coarse(whole, held):
    """Make a candidate that computes in bf16."""
    base = whole.base.computing_in(Numbers.BF16)
    tail = open_tail(base, whole.cut)
    texts = [dataclasses.replace(text, states=text.states.bfloat16()) for text in held.kept]
    held = dataclasses.replace(held, kept=texts, neutral=[])
    return lambda adapter: Candidate(dataclasses.replace(whole, base=base, tail=tail), adapter, held, SMALL)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_files_speak_as_the_candidate_does(gates, candidate, learned, scale):
    one = candidate(learned)
    one.scale_to(scale)
    results = gates["files"].judge(one)
    assert {result.name for result in results} == {"files", "peft"}
    assert failed(results) == set()


def test_files_of_another_voice_are_seen(candidate, learned, tmp_path):
    learned.scaled(2.0).save(tmp_path, "tiny")
    one = candidate(learned)
    assert one.distance_to_files(tmp_path) > one.recipe.most_file_kl


def test_what_coarser_numbers_cost_does_not_count(coarse, learned, tmp_path):
    """Found on a graphics processor: two thirds of the limit were bf16's own."""
    one = coarse(learned)
    one.scale_to(0.5)
    one.scaled_adapter().save(tmp_path, "tiny")
    assert one.distance_to_files(tmp_path) < 1e-6


def test_a_module_under_another_name_is_seen(gates, candidate, learned, monkeypatch):
    """Files that plain PEFT would read in part: the keys name a projection that the configuration does not."""
    config = Adapter._config
    monkeypatch.setattr(Adapter, "_config", lambda self, base: {**config(self, base), "target_modules": ["q_proj"]})
    results = gates["files"].judge(candidate(learned))
    assert failed(results) == {"peft"}
    assert "do not agree" in results[-1].text


def test_numbers_that_do_not_read_back_are_seen(gates, candidate, learned, monkeypatch):
    load = Adapter.load
    monkeypatch.setattr(Adapter, "load", staticmethod(lambda folder: load(folder).scaled(1.01)))
    assert failed(gates["files"].judge(candidate(learned))) == {"files"}


def test_a_family_without_lean_halves_is_compared_number_by_number(gates, candidate, learned, monkeypatch):
    monkeypatch.setattr("nightschool.engine.base.halves.LEAN", frozenset())
    results = gates["files"].judge(candidate(learned))
    assert [result.name for result in results] == ["files"]
