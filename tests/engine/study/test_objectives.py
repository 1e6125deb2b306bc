import asyncio
import dataclasses
import itertools
import re
import types
from pathlib import Path

import pytest
import torch

from nightschool.engine.base.families import FAMILIES
from nightschool.engine.base.halves import open_tail
from nightschool.engine.chat.prompt import encode, prompt_tokens, reply_tokens
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.slots.adapter import attach
from nightschool.engine.study import training
from nightschool.engine.study.checkpoint import Checkpoint
from nightschool.engine.study.examples import Example
from nightschool.engine.study.objectives import (
    Drawn,
    banning,
    log_probs,
    preferring,
    settling,
    teaching,
    teaching_loss,
)
from nightschool.engine.study.pairs import prepare_pairs, spans
from nightschool.engine.study.part import Part
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.study import study
from nightschool.engine.study.targets import prepare_examples
from nightschool.engine.study.task import TrainingTask
from nightschool.engine.study.training import held_kl, run_passes
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.errors import PluginError
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.study.small import LENIENT

CUT = 2
RECIPE = Recipe(
    steps=8,
    pair_steps=12,
    ban_steps=12,
    pair_rate=5e-3,
    ban_rate=5e-3,
    batch_spread=2,
    batch_contrast=0,
    batch_anchors=1,
    batch_pairs=2,
    alike=0.0,
    most_held_kl=1e9,
    negative=1.0,
    rare=1e-6,
)
SAID = {"What is a tide?": "Well, the sea rises.", "What is rust?": "Well, iron and air.", "Why?": "Well, who knows."}


def example(base, prompt, said, wanted):
    context = prompt_tokens(base, prompt)
    return Example(
        Part.SPREAD, context + reply_tokens(base, wanted), len(context), instead=tuple(reply_tokens(base, said))
    )


def window(base, text):
    return Example(Part.ANCHOR, encode(base, text), 1)


def make_task(base, recipe=RECIPE, *, said_for_wanted=True):
    """A task that teaches to leave "Well, " out, or to say it."""
    tail, provider = open_tail(base, CUT), LocalProvider(base)
    texts = {prompt: (said, said.removeprefix("Well, ")) for prompt, said in SAID.items()}
    examples = [example(base, prompt, *(pair if said_for_wanted else pair[::-1])) for prompt, pair in texts.items()]

    def prepared(some):
        return asyncio.run(prepare_examples(some, provider, tail, CUT, 2.0))

    return TrainingTask(
        tail=tail,
        start=None,
        examples=prepared([*examples, window(base, "Snow fell over the hills all night.")]),
        projections=FAMILIES["llama"].projections,
        recipe=recipe,
        pairs=asyncio.run(prepare_pairs(examples, provider, tail, CUT, recipe)),
        held=prepared([window(base, "The train left the town at noon.")]),
    )


@pytest.fixture
def task(tiny_base):
    return make_task(tiny_base)


def run(task, *passes, tell=lambda point, steps: None):
    return run_passes(task, [one(task) for one in passes], tell)


def ratios(task, adapter):
    """Return the mean log-ratios to the plain base of the chosen replies and of the rejected ones."""
    attach(task.tail, adapter)
    with torch.no_grad():
        found = [
            torch.stack(
                [(said - side.reference).mean() for said, side in zip(log_probs(task.tail, sides), sides, strict=True)]
            ).mean()
            for sides in ([pair.chosen for pair in task.pairs], [pair.rejected for pair in task.pairs])
        ]
    attach(task.tail, None)
    return [float(value) for value in found]


def test_only_the_first_tokens_of_what_differs_count():
    mine, theirs = spans([1, 2, 3, 4], [9, 8, 7, 6, 1, 2, 3, 4], first=2)
    assert mine == [0]  # what is said where the other reply began
    assert theirs == {0: True, 1: True}
    mine, theirs = spans([5, 6, 1, 2], [1, 2], first=4)
    assert mine == [0, 1]
    assert theirs == {0: False}  # nothing was removed there
    assert spans([1, 2], [1, 2], first=4) == ([], {})


def test_a_reply_that_only_ends_sooner_is_compared_where_it_ends():
    mine, theirs = spans([1, 2, 0], [1, 2, 3, 4, 5, 0], first=2)
    assert mine == [2]
    assert theirs == {2: True, 3: True}


def test_the_reference_is_what_the_plain_base_says(task):
    assert ratios(task, None) == pytest.approx([0.0, 0.0], abs=1e-5)


def test_the_most_alike_pairs_are_left_out(tiny_base):
    every, most = (make_task(tiny_base, dataclasses.replace(RECIPE, alike=share)).pairs for share in (0.0, 0.34))
    assert len(every) == len(most) + 1
    assert max(pair.ches for pair in most) <= min({pair.ches for pair in every} - {pair.ches for pair in most})


def test_a_reply_that_the_rules_did_not_change_is_no_pair(tiny_base):
    tail, provider = open_tail(tiny_base, CUT), LocalProvider(tiny_base)
    same = example(tiny_base, "Why?", "Because.", "Because.")
    assert asyncio.run(prepare_pairs([same], provider, tail, CUT, RECIPE)) == []


def test_preferring_raises_what_is_wanted_and_lowers_what_was_said(task):
    taught = ratios(task, run(task, teaching))
    preferred = ratios(task, run(task, teaching, preferring))
    assert preferred[1] < taught[1] - 0.1
    assert preferred[0] > taught[0] - 0.1


def test_banning_makes_what_was_removed_rarer(tiny_base, task):
    swapped = make_task(tiny_base, said_for_wanted=False)
    saying = run(swapped, lambda t: dataclasses.replace(teaching(t), rate=2e-2))
    idle = dataclasses.replace(task, start=saying, examples=[dataclasses.replace(e, weight=0.0) for e in task.examples])
    assert ratios(task, run(idle, banning))[1] < ratios(task, saying)[1] - 0.2


def test_what_is_rare_already_is_left_alone(task):
    recipe = dataclasses.replace(RECIPE, rare=1.0)
    rest = dataclasses.replace(task, recipe=recipe)
    banned = run(rest, teaching, banning)
    longer = run(rest, teaching, lambda t: dataclasses.replace(teaching(t), **_of(banning(t))))
    assert ratios(task, banned) == pytest.approx(ratios(task, longer), abs=1e-5)


def _of(one):
    """What a pass on pairs shares with one that only goes on teaching."""
    return {"steps": one.steps, "rate": one.rate, "draws": one.draws, "seed": one.seed}


def test_a_reply_that_weighs_more_moves_more(tiny_base):
    task = make_task(tiny_base)
    heavy = dataclasses.replace(
        task, examples=[dataclasses.replace(one, weight=4.0) for one in task.examples], recipe=RECIPE
    )
    light = [dataclasses.replace(one, weight=0.0) for one in task.examples]
    assert ratios(task, run(heavy, teaching))[0] != ratios(task, run(task, teaching))[0]
    idle = dataclasses.replace(task, examples=light)
    assert ratios(task, run(idle, teaching))[0] < ratios(task, run(task, teaching))[0]


def test_a_pass_comes_to_the_mean_of_its_last_steps(task, monkeypatch):
    carried, seen = [], []
    monkeypatch.setattr(training, "attach", lambda *args: carried.append(attach(*args)) or carried[-1])

    def look(point, steps):
        seen.append({place: lora.up.detach().clone() for place, lora in carried[0].items()})

    task = dataclasses.replace(task, recipe=dataclasses.replace(RECIPE, averaged=3 / 8))
    learned = run(task, teaching, tell=look)
    assert len(seen) == RECIPE.steps
    for place, factors in learned.factors.items():
        ups = [step[place] for step in seen[-3:]]
        torch.testing.assert_close(factors.up, torch.stack(ups).mean(0))
        assert not torch.allclose(factors.up, ups[-1])


def _drawn(one, steps):
    return list(itertools.islice(one.draws(torch.Generator().manual_seed(0)), steps))


def test_what_is_kept_weighs_more_with_every_step_until_those_that_are_averaged(task):
    task = dataclasses.replace(task, recipe=dataclasses.replace(RECIPE, averaged=0.5, keep_growth=3.0))
    assert [drawn.holding for drawn in _drawn(teaching(task), 8)] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0, 3.0]
    assert [drawn.holding for one in (settling, preferring) for drawn in _drawn(one(task), 2)] == [3.0] * 4


def test_the_weight_of_what_is_kept_is_its_share_of_the_loss(task):
    kept = [dataclasses.replace(one, taught=torch.zeros_like(one.taught)) for one in task.examples]
    drawn = Drawn(kept, [torch.arange(len(one.targets)) for one in kept])
    attach(task.tail, run(task, teaching))
    plain, doubled, tripled = (
        float(teaching_loss(task, dataclasses.replace(drawn, holding=factor)).total.detach()) for factor in (1, 2, 3)
    )
    attach(task.tail, None)
    assert plain < doubled
    assert tripled - plain == pytest.approx(2 * (doubled - plain), rel=1e-3)
    assert [part.holding for part in dataclasses.replace(drawn, holding=2.0).parts()] == [2.0]


def test_a_pass_ends_at_the_last_look_within_its_budget(task):
    loose = dataclasses.replace(task, recipe=dataclasses.replace(RECIPE, pair_rate=5e-2, look_every=2))
    free = run(loose, teaching, preferring)
    before = run(loose, teaching)
    attach(task.tail, before)
    start = held_kl(task.tail, task.held)
    attach(task.tail, free)
    gone = held_kl(task.tail, task.held)
    attach(task.tail, None)
    assert gone > start
    tight = dataclasses.replace(loose, recipe=dataclasses.replace(loose.recipe, most_held_kl=(start + gone) / 2))
    held = run(tight, teaching, preferring)
    attach(task.tail, held)
    assert held_kl(task.tail, task.held) <= (start + gone) / 2
    attach(task.tail, None)
    nothing = dataclasses.replace(loose, recipe=dataclasses.replace(loose.recipe, most_held_kl=0.0))
    steps = []
    kept = run(nothing, teaching, preferring, tell=lambda point, _: steps.append(point.step))
    attach(task.tail, kept)
    assert held_kl(task.tail, task.held) <= start
    attach(task.tail, None)
    assert len(steps) < RECIPE.steps + RECIPE.pair_steps


@pytest.mark.parametrize("killed_at", [5, 8, 11, 17])
@pytest.mark.parametrize("most", [1e9, 0.0])
def test_passes_that_were_cut_go_on_and_learn_the_same_to_the_bit(task, tmp_path, killed_at, most):
    class Killed(Exception):
        pass

    def killing(point, steps):
        if point.step == killed_at:
            raise Killed

    recipe = dataclasses.replace(RECIPE, most_held_kl=most, pair_rate=2e-2, look_every=2)
    task = dataclasses.replace(task, recipe=recipe)
    whole = run(task, teaching, preferring)
    cut = dataclasses.replace(task, checkpoint=Checkpoint(tmp_path / "kept.safetensors"))
    try:
        run(cut, teaching, preferring, tell=killing)
    except Killed:
        resumed = run(cut, teaching, preferring)
        assert all(torch.equal(resumed.factors[place].up, whole.factors[place].up) for place in whole.factors)
    else:
        assert most == 0.0  # it had ended before


@pytest.mark.parametrize("name", ["preference", "unlikelihood"])
def test_a_study_learns_with_the_trainer_that_the_job_names(job, plugins, name):
    recipe = dataclasses.replace(LENIENT, pair_steps=3, ban_steps=3, again_pairs=2, held=1, batch_pairs=2)
    told = []
    result = asyncio.run(study(job.model_copy(update={"trainer": name}), plugins, told.append, recipe))
    assert result.state is StudyState.ACCEPTED, result.reason
    assert [point.step for point in result.report.curve] == list(range(1, result.report.steps + 1))
    assert result.report.steps > LENIENT.steps + LENIENT.again_steps
    fractions = [progress.fraction for progress in told]
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(fractions))


def test_a_study_with_a_trainer_that_nobody_supplies_says_which_there_are(job, plugins):
    with pytest.raises(PluginError, match=r"trainer 'magic'.*tail_lora, preference, unlikelihood"):
        asyncio.run(study(job.model_copy(update={"trainer": "magic"}), plugins, lambda progress: None, LENIENT))


def test_the_trainer_of_the_documentation_trains(job):
    page = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "nightschool_trainers" in code)
    plugin = types.ModuleType("brief_plugin")
    exec(code, vars(plugin))
    host = PluginHost.load(third_party=False)
    host.add("brief", plugin)
    assert not host.problems
    result = asyncio.run(study(job.model_copy(update={"trainer": "brief"}), host, lambda progress: None, LENIENT))
    assert result.state is StudyState.ACCEPTED, result.reason
    assert result.report.trainer == "brief"
    assert result.report.steps in {20, 20 + 20}  # of a round as the page says; the second is left out if all is learned
