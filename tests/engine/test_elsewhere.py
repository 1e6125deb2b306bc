"""Everything that computes does so on another device too, without two devices meeting, and says the same there.

The device is one of ``tests/elsewhere.py``: it has not run on a real one.
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
import torch

from nightschool.engine.base.cache import crop
from nightschool.engine.base.card import check_probe
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import load
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.base.speed import Speed
from nightschool.engine.base.supply import ProviderKind
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.sampler import Sampler
from nightschool.engine.host.model_thread import Model, quickest
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.slots.adapter import Adapter, Factors, attach, detach, new_adapter
from nightschool.engine.study.batch import batch_loss, choose_rows
from nightschool.engine.study.examples import Example
from nightschool.engine.study.generate import write_greedily
from nightschool.engine.study.job import StudyJob
from nightschool.engine.study.lessons import lesson_from_edit
from nightschool.engine.study.part import Part
from nightschool.engine.study.recipe import Recipe
from nightschool.engine.study.study import study
from nightschool.engine.study.targets import prepare_examples
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.errors import BaseMismatch
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Lesson, LessonState, Role, StudyState
from nightschool.tests.elsewhere import Elsewhere, MixedDevices
from nightschool.tests.engine.study.small import LENIENT
from nightschool.tests.tiny import FAMILIES, save_tiny

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
IDS = torch.randint(0, 256, (24,), generator=torch.Generator().manual_seed(7)).tolist()


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "1")  # transformers' own threads know nothing of the device
    with Elsewhere() as device:
        yield device


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def folder(request, tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("base") / request.param, request.param)


def learned(tail, seed=1):
    """An adapter with something in it."""
    generator = torch.Generator().manual_seed(seed)
    plain = new_adapter(tail, 3, ("q_proj", "o_proj", "up_proj", "down_proj"))
    return Adapter(
        {
            place: Factors(factors.down, torch.randn(factors.up.shape, generator=generator) * 0.1)
            for place, factors in plain.factors.items()
        }
    )


# -- the device itself -------------------------------------------------------------------------------------------------


def test_tensors_of_two_devices_must_not_meet(elsewhere):
    there = torch.arange(6.0, device=elsewhere)
    assert (there.device, there.is_cpu) == (elsewhere, False)
    for mix in (
        lambda: there + torch.ones(6),
        lambda: torch.cat([there, torch.ones(1)]),
        lambda: there[torch.tensor([1])],
        lambda: there[torch.ones(6, dtype=torch.bool)],
        lambda: there.index_select(0, torch.tensor([1])),
        lambda: there.masked_fill(torch.ones(6, dtype=torch.bool), 0.0),
    ):
        with pytest.raises(MixedDevices):
            mix()
    assert (there + torch.ones(6).to(elsewhere)).cpu().tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


# -- trunk and tail ----------------------------------------------------------------------------------------------------


def every_way(base, adapter, cut=2):
    """The logits of every way through the halves, moved to the CPU."""
    trunk, tail = open_trunk(base, cut), open_tail(base, cut)
    attach(tail, learned(tail) if adapter else None)
    batch = [IDS, [*IDS[:12], 1, 2], IDS[3:9]]
    states = trunk.sequences(batch)
    found = [tail.head(rows) for rows in (*tail.sequences(states), *tail.sequences(states, batch))]
    lower, upper = trunk.new_cache(), tail.new_cache()
    for start, stop in ((0, 9), (9, 10), (10, 13), (13, 24)):
        ids = torch.tensor([IDS[start:stop]], device=trunk.device)
        found.append(tail.head(tail.extend(trunk.extend(ids, lower), upper)))
    if crop(lower, 20) and crop(upper, 20):
        ids = torch.tensor([IDS[:2]], device=trunk.device)
        found.append(tail.head(tail.extend(trunk.extend(ids, lower), upper)))
    lower, upper = trunk.new_rows(3, 30), tail.new_rows(3, 30)
    found += [tail.head(rows) for rows in tail.fill(upper, range(3), trunk.fill(lower, range(3), batch), batch)]
    for count in (3, 3, 2):
        tokens = torch.tensor([7, 8, 9][:count], device=trunk.device)
        found.append(tail.head(tail.step(upper, trunk.step(lower, tokens))))
        if count == 3:
            lower.move(2, 1)
            upper.move(2, 1)
    assert {logits.device for logits in found} == {tail.device}
    return [logits.cpu() for logits in found]


@pytest.mark.parametrize("adapter", [False, True], ids=["plain", "with an adapter"])
def test_every_way_through_the_halves_says_the_same_there(elsewhere, folder, adapter):
    with torch.inference_mode():
        here = every_way(load(folder), adapter)
        there = every_way(load(folder, device=str(elsewhere)), adapter)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(other, one, **CLOSE)


@pytest.mark.parametrize("numbers", [Numbers.BF16, Numbers.FP16])
def test_halves_in_16_bits_compute_there(elsewhere, tiny_base_folder, numbers):
    with torch.inference_mode():
        here = every_way(load(tiny_base_folder), adapter=True)
        there = every_way(load(tiny_base_folder, numbers=numbers, device=str(elsewhere)), adapter=True)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(other.float(), one, atol=0.3, rtol=0.1)


async def test_a_base_there_computes_what_its_card_says(elsewhere, folder):
    base = load(folder, device=str(elsewhere))
    assert await check_probe(base.card, LocalProvider(base), open_tail(base, 2)) < 1e-4


async def test_states_from_the_cpu_are_taken_along(elsewhere, tiny_base_folder):
    """A provider may be anywhere, and give its states on the CPU."""
    here, there = load(tiny_base_folder), load(tiny_base_folder, device=str(elsewhere))
    assert await check_probe(there.card, LocalProvider(here), open_tail(there, 2)) < 1e-4


# -- a chat ------------------------------------------------------------------------------------------------------------

PAST = [
    Turn(Role.USER, "Tell me all about the sea. " * 6),
    Turn(Role.ASSISTANT, "It is wide."),
    Turn(Role.USER, "And?"),
]


def ask(chat, turns=PAST, adapter=None, **sampling):
    reply = chat.reply(
        5,
        turns,
        system="",
        adapter=adapter,
        sampling=Sampling(max_tokens=12, **sampling),
        on_text=lambda text: None,
        cancelled=lambda: False,
    )
    return asyncio.run(reply)


def answers(base, shelf, adapter):
    """What a chat says through turns, a change of adapter, and a restart."""
    chat = Chat(base, LocalProvider(base), 2, shelf)
    said = [ask(chat), ask(chat, adapter=adapter), ask(chat, temperature=0.9, top_k=40, seed=3, repetition_penalty=1.2)]
    asyncio.run(chat.close())
    return said


@pytest.mark.parametrize("numbers", [Numbers.FP32, Numbers.BF16])
def test_a_chat_says_the_same_there(elsewhere, tiny_base_folder, tmp_path, numbers):
    here = load(tiny_base_folder, numbers=numbers)
    (tmp_path / "adapter").mkdir()
    learned(open_tail(here, 2)).save(tmp_path / "adapter", "tiny")
    there = load(tiny_base_folder, numbers=numbers, device=str(elsewhere))
    said = answers(there, tmp_path / "there", tmp_path / "adapter")
    if numbers is Numbers.FP32:  # roundings of two ways differ more than the words of a random model
        assert said == answers(here, tmp_path / "here", tmp_path / "adapter")


@pytest.mark.parametrize("way", ["from here to there", "from there to here", "from there to there"])
def test_what_was_read_on_one_device_is_gone_on_from_on_another(elsewhere, tiny_base_folder, tmp_path, way):
    bases = {"here": load(tiny_base_folder), "there": load(tiny_base_folder, device=str(elsewhere))}
    _, source, _, target = way.split()
    first = Chat(bases[source], LocalProvider(bases[source]), 2, tmp_path / "shelf")
    said = ask(first)
    asyncio.run(first.close())
    again = Chat(bases[target], LocalProvider(bases[target]), 2, tmp_path / "shelf")
    turns = [*PAST, Turn(Role.ASSISTANT, said.text), Turn(Role.USER, "More")]
    fresh = Chat(bases["here"], LocalProvider(bases["here"]), 2)
    assert ask(again, turns) == ask(fresh, turns)
    assert again.computed < first.computed / 3
    (tmp_path / "adapter").mkdir()  # with another voice what was kept is sent through the tail once more
    learned(open_tail(bases["here"], 2)).save(tmp_path / "adapter", "tiny")
    assert ask(again, turns, tmp_path / "adapter") == ask(fresh, turns, tmp_path / "adapter")


def test_the_same_seed_draws_the_same_whichever_device_the_logits_are_on(elsewhere):
    logits = torch.randn(50, generator=torch.Generator().manual_seed(1))
    sampling = Sampling(temperature=1.0, seed=5, repetition_penalty=1.1)

    def drawn(row):
        sampler = Sampler(sampling)
        return [sampler.choose(row, [1, 2]) for _ in range(20)]

    assert drawn(logits.to(elsewhere)) == drawn(logits)


# -- which numbers -----------------------------------------------------------------------------------------------------

SPEED = Speed(one=Numbers.BF16, many=Numbers.BF16, one_ms={"fp32": 2.0, "bf16": 1.0}, many_ms={}, machine="")


async def test_the_quickest_numbers_that_compute_what_the_card_says_are_taken(elsewhere, folder):
    """Those of a tiny random model in 16 bits are far from it, as no trained one's are."""
    base = load(folder).on(str(elsewhere))
    model = await quickest(base, ProviderKind("local", LocalProvider), SPEED)
    assert model.base.device == str(elsewhere)
    assert await model.check() < 0.1
    assert model.base.numbers in (Numbers.BF16, Numbers.FP32)


async def test_numbers_that_were_refused_leave_nothing_in_the_memory(elsewhere, tiny_base_folder, monkeypatch):
    tried = []

    async def check(model):
        tried.append(model.base)
        assert [bool(base.kept) for base in tried] == [False] * (len(tried) - 1) + [True]
        if model.base.numbers is Numbers.BF16:
            raise BaseMismatch("Too far.")
        return 0.0

    monkeypatch.setattr(Model, "check", check)
    model = await quickest(load(tiny_base_folder, device=str(elsewhere)), ProviderKind("local", LocalProvider), SPEED)
    assert model.base.numbers is Numbers.FP32
    assert len(tried) == 2


# -- a study -----------------------------------------------------------------------------------------------------------


def test_replies_are_written_alike_there(elsewhere, folder):
    written = []
    for base in (load(folder), load(folder, device=str(elsewhere))):
        trunk, tail = open_trunk(base, 2), open_tail(base, 2)
        prompts = [IDS[:place] for place in (3, 9, 5, 14)]
        written.append(write_greedily(trunk, tail, prompts, {257}, limit=6))
    assert written[0] == written[1]


EXCHANGES = torch.tensor([[5, 6], [7, -1]])


def losses_and_gradients(base):
    """Losses of one step over every part of a batch, and the gradients of the updates; all on the CPU."""
    tail = open_tail(base, 2)
    texts = [
        Example(part, IDS[:stop], 4, changed=frozenset({1}))
        for part, stop in ((Part.SPREAD, 20), (Part.GOLD, 9), (Part.CONTRAST, 12), (Part.ANCHOR, 16))
    ]
    recipe = dataclasses.replace(Recipe(), taught_above=4.0)
    batch = asyncio.run(prepare_examples(texts, LocalProvider(base), tail, 2, recipe.taught_above))
    assert any(bool(example.taught.any()) for example in batch)
    batch[0] = dataclasses.replace(batch[0], exchanges=EXCHANGES.to(tail.device))
    loras = attach(tail, learned(tail))
    parameters = [factor for lora in loras.values() for factor in (lora.down, lora.up)]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    loss = batch_loss(tail, batch, [choose_rows(example, recipe, generator) for example in batch], recipe)
    loss.total.backward()
    gradients = [parameter.grad.cpu().clone() for parameter in parameters]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    after = [tensor for factors in detach(loras).factors.values() for tensor in (factors.down, factors.up)]
    assert all(tensor.is_cpu for tensor in after)
    return [torch.tensor([loss.total.item(), loss.taught, loss.kept]), *gradients]


def test_a_step_of_training_is_the_same_there(elsewhere, folder):
    here, there = (losses_and_gradients(base) for base in (load(folder), load(folder, device=str(elsewhere))))
    assert all(bool(tensor.any()) for tensor in here)
    for one, other in zip(here, there, strict=True):
        assert (other - one).abs().max() <= 1e-3 * one.abs().max()


SMALL = dataclasses.replace(
    LENIENT, spread=2, contrast=1, anchors=1, held_out=1, held_opposite=1, searched=1, reply_tokens=3, target_tokens=16,
    window=16, steps=2, again_steps=1, revised=2, most_forgotten=1.0,
)  # fmt: skip


async def test_a_study_runs_there_from_lessons_to_an_adapter(elsewhere, tiny_study_base, tmp_path):
    """With an adapter to go on from, and a second round."""
    plugins = PluginHost.load(third_party=False)
    before = "Inflation is a rise in prices. Money buys less than before. Banks try to hold it."
    draft = lesson_from_edit(plugins, "What is inflation?", before, "Captain, i" + before[1:])
    lesson = Lesson(
        id=1,
        slot="science",
        state=LessonState.APPROVED,
        rule=draft.rule,
        steps=draft.steps,
        evidence=draft.evidence,
    )
    (tmp_path / "adapter").mkdir()
    learned(open_tail(load(tiny_study_base), 2)).save(tmp_path / "adapter", "tiny")
    job = StudyJob(
        study=1,
        slot="science",
        folder=tmp_path / "study",
        base=tiny_study_base,
        cut=2,
        numbers=Numbers.BF16,
        device=str(elsewhere),
        lessons=[lesson],
        adapter=tmp_path / "adapter",
    )
    result = await study(job, plugins, lambda progress: None, SMALL)
    assert result.state is StudyState.ACCEPTED, result.reason
    assert any(bool(factors.up.any()) for factors in Adapter.load(result.candidate).factors.values())
