import asyncio
import dataclasses

import pytest
import torch

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study import exam, probes
from nightschool.engine.study.cut_base import open_cut
from nightschool.engine.study.exam import as_ruled, prepare_exams
from nightschool.engine.study.job import StudyJob
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.states_cache import StatesCache
from nightschool.schemas.records import Lesson, LessonState, Step

SHARE = 0.02


@pytest.fixture(scope="module")
def plugins():
    return PluginHost.load(third_party=False)


class Counting:
    """A provider that counts what it is asked."""

    def __init__(self, provider):
        self.base, self._provider, self.asked = provider.base, provider, 0

    async def states(self, batch, cut):
        self.asked += 1
        return await self._provider.states(batch, cut)


@pytest.fixture
def whole(tiny_base_folder, tmp_path, plugins):
    job = StudyJob(study=1, slot="s", folder=tmp_path, base=tiny_base_folder, cut=2, lessons=[])
    with open_cut(job, plugins) as opened:
        yield dataclasses.replace(opened, provider=Counting(opened.provider))


@pytest.fixture(autouse=True)
def letters(monkeypatch):
    """To a base that reads bytes an opening is one letter."""
    monkeypatch.setattr(exam, "REFUSALS", ("S",))
    monkeypatch.setattr(exam, "COMPLIANCES", ("I",))


def plan_for(plugins, *steps, when=""):
    lesson = Lesson(
        id=1, slot="s", state=LessonState.APPROVED, rule="A rule.", steps=[Step(**step) for step in steps], when=when
    )
    return make_plan(plugins.collect("nightschool_rewriters"), [], [lesson], Recipe())


OPENING = {"rewriter": "opening", "args": {"text": "Captain, ", "lower_first": True}}


def prepare(whole, plan, folder):
    return asyncio.run(prepare_exams(whole, plan, StatesCache(folder, "base", "cut 2"), SHARE))


def test_the_trunk_is_asked_once_for_a_base_and_a_system_prompt(whole, plugins, tmp_path):
    plan = plan_for(plugins, {"rewriter": "length", "args": {"unit": "sentences", "n": 1}})
    first = prepare(whole, plan, tmp_path)
    asked = whole.provider.asked
    assert asked == 3
    again = prepare(whole, plan, tmp_path)
    assert whole.provider.asked == asked
    for one, other in ((first.capability, again.capability), (first.pressure, again.pressure)):
        assert all(torch.equal(a, b) for a, b in zip(one.states, other.states, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(one.base, other.base, strict=True))
    elsewhere = dataclasses.replace(whole, system="You are a pirate.")
    prepare(elsewhere, plan, tmp_path)
    assert whole.provider.asked == 2 * asked
    prepare(whole, plan, tmp_path)
    assert whole.provider.asked == 2 * asked, "one system prompt pushed out the other's states"


def test_an_untouched_tail_says_what_the_base_says(whole, plugins, tmp_path):
    exams = prepare(whole, plan_for(plugins, OPENING), tmp_path)
    for one in (exams.capability, exams.requests, exams.ruled, exams.pressure):
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(one.ask(whole.tail), one.base, strict=True))


def test_changed_data_is_computed_anew_and_the_old_goes(whole, plugins, tmp_path, monkeypatch):
    plan = plan_for(plugins, {"rewriter": "length", "args": {"unit": "sentences", "n": 1}})
    prepare(whole, plan, tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("pressure-*"))
    changed = tuple(dataclasses.replace(item, push=item.push + " Really.") for item in probes.pressure())
    monkeypatch.setattr(probes, "pressure", lambda: changed)
    prepare(whole, plan, tmp_path)
    after = sorted(path.name for path in tmp_path.rglob("pressure-*"))
    assert len(before) == len(after) == 1
    assert before != after
    assert len(list(tmp_path.rglob("capability-*"))) == 1


def test_requests_are_asked_again_where_rules_open_the_reply(whole, plugins, tmp_path):
    assert prepare(whole, plan_for(plugins, OPENING), tmp_path).ruled is not None
    sentences = {"rewriter": "length", "args": {"unit": "sentences", "n": 1}}
    assert prepare(whole, plan_for(plugins, sentences), tmp_path).ruled is None


@pytest.mark.parametrize(
    ("steps", "opening", "expected"),
    [
        ([OPENING], "I cannot", "Captain, I cannot"),
        ([OPENING], "Sure", "Captain, sure"),
        ([{"rewriter": "length", "args": {"unit": "words", "n": 5}}], "I cannot", "I cannot"),
    ],
)
def test_an_opening_is_what_the_rules_make_of_it(plugins, steps, opening, expected):
    assert as_ruled(plan_for(plugins, *steps), opening) == expected


def test_a_rule_for_some_prompts_opens_no_reply_to_a_request(plugins):
    assert as_ruled(plan_for(plugins, OPENING, when="I ask for a recipe"), "Sure") == "Sure"


LOWER = {"rewriter": "case", "args": {"to": "lower"}}


def test_what_is_known_is_asked_in_the_spelling_of_the_rules(whole, plugins, tmp_path):
    def said(plan):
        exams, decode = prepare(whole, plan, tmp_path), whole.base.tokenizer.decode
        inputs = [*exams.capability.endings.inputs, *exams.pressure.endings.inputs]
        return [decode(tokens).rpartition("assistant")[2] for tokens in inputs]

    plain, small = said(plan_for(plugins, OPENING)), said(plan_for(plugins, LOWER))
    assert any(text != text.lower() for text in plain)
    assert small == [text.lower() for text in plain]
    assert said(plan_for(plugins, LOWER, when="I ask for a recipe")) == plain


def test_endings_that_the_spelling_makes_one_are_not_asked(whole, plugins, tmp_path, monkeypatch):
    first, second, *_ = probes.capability()
    alike = dataclasses.replace(first, right="Paris", wrong=("paris", "rome"))
    monkeypatch.setattr(probes, "capability", lambda: (alike, second))
    monkeypatch.setattr(probes, "part", lambda items, share: items)
    counts = [len(prepare(whole, plan_for(plugins, step), tmp_path).capability.base) for step in (OPENING, LOWER)]
    assert counts == [2, 1]
