"""How long the replies are that a study reads, by where the user's own edit shows a rule acting."""

import pytest

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study.lessons import lesson_from_edit
from nightschool.engine.study.plan import make_plan
from nightschool.engine.study.reach import reach_of
from nightschool.engine.study.recipe import Recipe
from nightschool.tests.engine.study.small import lesson

FIRST = "Inflation is a slow and steady rise in the prices of all the things that people buy from one year to the next."
LISTED = f"{FIRST}\n\n1. Money buys less than it did.\n2. Banks try to hold it back.\n3. Wages follow the prices."
PLAIN = f"{FIRST}\n\nMoney buys less than it did.\nBanks try to hold it back.\nWages follow the prices."


@pytest.fixture(scope="module")
def plugins():
    return PluginHost.load()


def _reach(base, plugins, before, after):
    draft = lesson_from_edit(plugins, "What is inflation?", before, after)
    taught = lesson(plugins, after).model_copy(update={"steps": draft.steps, "evidence": draft.evidence})
    assert taught.steps
    recipe = Recipe()
    plan = make_plan(plugins.collect("nightschool_rewriters"), [], [taught], recipe)
    return reach_of(base, plan, recipe)


def test_a_list_that_begins_late_is_looked_for_in_longer_replies(tiny_base, plugins):
    found = _reach(tiny_base, plugins, LISTED, PLAIN)
    assert found.reply_tokens == Recipe().far_reply_tokens
    assert found.target_tokens == Recipe().far_target_tokens


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(f"Captain, {FIRST}", id="an opening shows at once"),
        pytest.param(f"{FIRST} Over.", id="a closing is put wherever a reply ends"),
    ],
)
def test_what_shows_at_once_or_at_the_end_needs_no_longer_replies(tiny_base, plugins, after):
    assert _reach(tiny_base, plugins, FIRST, after) == Recipe()


def test_small_letters_show_at_once_and_are_taught_with_fewer_examples_a_step(tiny_base, plugins):
    found, usual = _reach(tiny_base, plugins, FIRST, FIRST.lower()), Recipe()
    assert (found.reply_tokens, found.target_tokens) == (usual.reply_tokens, usual.target_tokens)
    assert found.batch_spread == usual.respelt_batch_spread < usual.batch_spread
    assert (found.batch_contrast, found.contrast) == (usual.respelt_batch_contrast, usual.respelt_contrast)


def test_a_cut_needs_no_longer_replies(tiny_base, plugins):
    assert _reach(tiny_base, plugins, LISTED, FIRST) == Recipe()
