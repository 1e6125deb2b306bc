"""A candidate on a tiny base, and ways to break it: an adapter that was taught just what a gate shall see."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
import torch

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.slots.adapter import attach, detach, new_adapter
from nightschool.engine.study import exam
from nightschool.engine.study.candidate import Candidate
from nightschool.engine.study.choose import choose_prompts
from nightschool.engine.study.cut_base import open_cut
from nightschool.engine.study.job import StudyJob
from nightschool.engine.study.measures import prepare_measures
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.replies import Replies
from nightschool.tests.engine.study import small

SMALL = dataclasses.replace(small.SMALL, rank=4, probed=0.1)


@pytest.fixture(scope="session")
def plugins():
    return PluginHost.load(third_party=False)


@pytest.fixture(scope="session")
def whole(tiny_study_base, tmp_path_factory, plugins):
    """The tiny base, cut."""
    folder = tmp_path_factory.mktemp("gates")
    job = StudyJob(study=1, slot="s", folder=folder, base=tiny_study_base, cut=2, lessons=[])
    with open_cut(job, plugins) as opened:
        yield opened


@pytest.fixture(scope="session")
def held(whole, plugins):
    """What a candidate for "Captain, ..." is measured on. To a base that reads bytes an opening is one letter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exam, "REFUSALS", ("S", "T"))
        patch.setattr(exam, "COMPLIANCES", ("I",))
        return _held(whole, plugins)


def _held(whole, plugins):
    lesson = small.lesson(plugins, "Captain, i" + small.BEFORE[1:])
    replies = Replies(whole, None, SMALL.reply_tokens)
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [lesson], SMALL)
    plan = choose_prompts(plan, SMALL, replies, lambda share: None)
    return asyncio.run(prepare_measures(whole, plan, SMALL, replies, cache=None, adapter=None, tell=lambda share: None))


@pytest.fixture
def candidate(whole, held):
    """Make a candidate of an adapter; None: one that changes nothing."""

    def make(adapter=None, held=held):
        return Candidate(whole, adapter or new_adapter(whole.tail, 4), held, SMALL)

    yield make
    attach(whole.tail, None)


@pytest.fixture
def taught(whole):
    """Make an adapter that minimises a loss over the answers to an exam."""

    def teach(exam, loss, steps=8):
        loras = attach(whole.tail, new_adapter(whole.tail, 4))
        parameters = [factor.requires_grad_() for lora in loras.values() for factor in (lora.down, lora.up)]
        optimizer = torch.optim.Adam(parameters, lr=0.03)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(exam.endings.log_probs(whole.tail, exam.states)).backward()
            optimizer.step()
        adapter = detach(loras)
        attach(whole.tail, None)
        return adapter

    return teach


@pytest.fixture(scope="session")
def gates(plugins):
    """The gates by name."""
    return {gate.name: gate for gate in plugins.collect("nightschool_gates")}


def failed(results):
    """Return the names of the results that did not pass."""
    return {result.name for result in results if not result.passed}
