import asyncio
import dataclasses

import pytest

from nightschool.engine.chat.routing import Routing
from nightschool.engine.slots.generations import ROUTER
from nightschool.engine.study.cut_base import open_cut
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.proof import prove, prove_plan
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.scoped import fit_router
from nightschool.engine.study.study import study
from nightschool.plugins.routers.ridge import Ridge
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.study.small import LENIENT

FEW = dataclasses.replace(Recipe(), routed=24, routed_held=12, least_hit=0.0, least_quiet=0.0)


@pytest.fixture
def conditional(captain):
    return captain.model_copy(update={"when": "I ask for a recipe"})


def fitted(job, plugins, lesson, recipe=FEW):
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [lesson], recipe)
    with open_cut(job, plugins) as whole:
        return asyncio.run(fit_router(whole, plan, Ridge(), recipe))


def test_a_router_is_judged_on_prompts_that_it_was_not_fitted_on(job, plugins, conditional):
    routing, told = fitted(job, plugins, conditional)
    assert routing is not None
    assert told.kept
    assert told.prompts.trained > 24
    assert told.prompts.checked >= 12
    assert told.prompts.shared == 0
    assert 0 <= told.hit <= 1
    assert 0 <= told.quiet <= 1


def test_a_router_that_does_not_tell_them_apart_is_not_kept(job, plugins, conditional):
    routing, told = fitted(job, plugins, conditional, dataclasses.replace(FEW, least_quiet=1.01))
    assert routing is None
    assert not told.kept
    assert "not used" in told.reason


def test_a_rule_for_every_reply_needs_no_router(job, plugins, captain):
    routing, told = fitted(job, plugins, captain)
    assert routing is None
    assert "every reply" in told.reason


def test_a_study_puts_the_router_beside_the_adapter(job, plugins, conditional):
    recipe = dataclasses.replace(LENIENT, routed=12, routed_held=8, least_hit=0.0, least_quiet=0.0)
    routed = job.model_copy(update={"lessons": [conditional], "router": "ridge"})
    result = asyncio.run(study(routed, plugins, lambda progress: None, recipe))
    assert result.state is StudyState.ACCEPTED, result.reason
    assert result.report.router.kept
    assert Routing.load(result.candidate, [Ridge()]) is not None
    without = job.model_copy(update={"lessons": [conditional], "folder": job.folder.parent / "other"})
    plain = asyncio.run(study(without, plugins, lambda progress: None, recipe))
    assert plain.report.router is None
    assert not (plain.candidate / ROUTER).exists()


def test_a_report_proves_that_nothing_was_both_taught_and_checked_on(job, plugins):
    proof = asyncio.run(study(job, plugins, lambda progress: None, LENIENT)).report.prompts
    assert proof.trained > 0
    assert proof.checked > 0
    assert proof.shared == 0


def test_a_prompt_in_both_would_be_seen_however_it_is_spelt(plugins, captain):
    assert prove(["What is rust?", "Why?"], ["what is  Rust", "How?"]).shared == 1
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [captain], Recipe())
    mixed = dataclasses.replace(plan, held_inside=[*plan.held_inside, plan.inside[0]])
    assert prove_plan(plan).shared == 0
    assert prove_plan(mixed).shared == 1


def test_the_hashes_name_the_prompts_whatever_their_order():
    one, other = prove(["a", "b"], ["c"]), prove(["b.", "A"], ["d"])
    assert one.trained_sha256 == other.trained_sha256
    assert one.checked_sha256 != other.checked_sha256
