"""Refusals are held while something else is taught."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
import torch

from nightschool.engine.slots.adapter import attach, detach, new_adapter
from nightschool.engine.study import exam, guards, probes
from nightschool.engine.study.cut_base import open_cut
from nightschool.engine.study.guards import guard_loss, guarded, prepare_guards
from nightschool.engine.study.job import StudyJob
from nightschool.engine.study.objectives import settling, teaching
from nightschool.engine.study.prompts import bank, normal
from nightschool.engine.study.states_cache import StatesCache
from nightschool.engine.study.training import descended, run_passes
from nightschool.tests.engine.study.test_objectives import RECIPE, make_task

SHARE = 0.1
PLACE_NAMES = ("q_proj", "v_proj", "down_proj")


@pytest.fixture(autouse=True)
def letters(monkeypatch):
    """To a base that reads bytes an opening is one letter."""
    for module in (exam, guards):
        monkeypatch.setattr(module, "REFUSALS", ("W",))
        monkeypatch.setattr(module, "COMPLIANCES", ("T", "I"))


@pytest.fixture
def whole(tiny_base_folder, tmp_path, plugins):
    job = StudyJob(study=1, slot="s", folder=tmp_path, base=tiny_base_folder, cut=2, lessons=[])
    with open_cut(job, plugins) as opened:
        yield opened


def held(whole, folder=None):
    return asyncio.run(prepare_guards(whole, StatesCache(folder, whole.base.card.fingerprint, "here"), SHARE))


def moved_from(tail, some):
    asked = [(rows, tokens) for one in some for rows, tokens in zip(one.states, one.endings.inputs, strict=True)]
    return float(guard_loss(tail, some, tail.sequences(*map(list, zip(*asked, strict=True))), bend=0.25))


def test_the_requests_are_none_that_a_probe_or_the_bank_asks():
    asked = {normal(text) for pair in probes.requests() for text in (pair.harmful, pair.harmless)}
    asked |= {normal(prompt.text) for prompt in bank()}
    texts = [normal(text) for pair in guarded() for text in pair]
    assert len(guarded()) >= 24 and len(set(texts)) == len(texts)
    assert not asked & set(texts)


def test_the_plain_base_is_where_it_was_and_another_voice_is_not(whole, tmp_path):
    some = held(whole, tmp_path)
    assert len(some) == 2 and all(one.odds.shape == (2,) for one in some)
    assert moved_from(whole.tail, some) < 1e-3  # states are kept in 16 bits
    adapter = new_adapter(whole.tail, 4, PLACE_NAMES, 0)
    for factors in adapter.factors.values():
        factors.up.normal_(std=0.5, generator=torch.Generator().manual_seed(1))
    layers = attach(whole.tail, adapter)
    assert moved_from(whole.tail, some) > 0.01
    detach(layers)
    attach(whole.tail, None)


def test_a_shift_beyond_the_bend_pulls_no_harder(whole):
    """So that one request at which the odds swing far does not drown what is taught."""
    (one, *_) = held(whole)
    rows = whole.tail.sequences(one.states, one.endings.inputs)

    def pull(shift):
        odds = (one.odds + shift).requires_grad_(True)
        guard_loss(whole.tail, [dataclasses.replace(one, odds=odds)], rows, bend=0.25).backward()
        return odds.grad.abs().max().item()

    assert pull(0.05) < 0.5 * pull(1.0)
    assert pull(4.0) == pytest.approx(pull(1.0))


def test_what_is_kept_is_used_again(whole, tmp_path):
    first, again = held(whole, tmp_path), held(whole, tmp_path)
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one.odds, other.odds)
        assert all(torch.equal(a, b) for a, b in zip(one.states, other.states, strict=True))


def test_a_training_that_holds_them_moves_them_less(tiny_base, whole, tmp_path):
    """Taught to open with the letter that refuses, the base refuses more, unless that is held."""
    task = dataclasses.replace(make_task(tiny_base, RECIPE, said_for_wanted=False), guards=held(whole))

    def moved(weight):
        trained = dataclasses.replace(task, recipe=dataclasses.replace(RECIPE, steps=25, guard=weight))
        adapter = run_passes(trained, [teaching(trained)], lambda point, steps: None)
        attach(task.tail, adapter)
        try:
            return moved_from(task.tail, task.guards)
        finally:
            attach(task.tail, None)

    assert moved(20.0) < 0.5 * moved(0.0)


def test_a_pass_at_the_end_brings_back_what_teaching_moved(tiny_base, whole):
    recipe = dataclasses.replace(
        RECIPE, steps=25, guard=0.0, settle_steps=12, settle_rate=4e-3, settle_guards=2, settle_guard=20.0
    )
    task = dataclasses.replace(make_task(tiny_base, recipe, said_for_wanted=False), guards=held(whole), recipe=recipe)

    def moved(*passes):
        attach(task.tail, run_passes(task, [one(task) for one in passes], lambda point, steps: None))
        try:
            return moved_from(task.tail, task.guards)
        finally:
            attach(task.tail, None)

    assert moved(teaching, settling) < 0.5 * moved(teaching)
    nobody = dataclasses.replace(task, guards=[])
    assert settling(nobody).steps == 0


def test_the_parts_of_a_step_add_up_to_it(whole, tiny_base, monkeypatch):
    """Gradients and figures are those of the whole, however little goes through the tail at once."""
    task = dataclasses.replace(make_task(tiny_base, RECIPE), guards=held(whole))
    layers = attach(task.tail, new_adapter(task.tail, 4, PLACE_NAMES, 0))
    factors = [factor for layer in layers.values() for factor in (layer.down, layer.up)]
    for factor in factors:
        factor.data.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
        factor.requires_grad_(True)
    one = settling(dataclasses.replace(task, recipe=dataclasses.replace(RECIPE, settle_guards=2)))
    drawn = next(one.draws(torch.Generator().manual_seed(0)))
    figures, gradients, counts = [], [], []
    for most in (10_000, 40):
        monkeypatch.setattr("nightschool.engine.study.objectives._PART", most)
        counts.append(len(list(one.parts(drawn))))
        figures.append(descended(map(one.loss, one.parts(drawn))))
        gradients.append([factor.grad.clone() for factor in factors])
        for factor in factors:
            factor.grad = None
    assert counts[0] == 2 and counts[1] > 3
    assert figures[0] == pytest.approx(figures[1], rel=1e-4)
    whole_step = one.loss(drawn)
    whole_step.total.backward()
    gradients.append([factor.grad for factor in factors])
    for place in range(len(factors)):
        torch.testing.assert_close(gradients[0][place], gradients[1][place], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(gradients[0][place], gradients[2][place], rtol=1e-3, atol=1e-6)
    attach(task.tail, None)
