import asyncio

import pytest
import torch

from nightschool.engine.base.halves import open_tail
from nightschool.engine.base.library import load
from nightschool.engine.chat.chat import Chat, Turn
from nightschool.engine.chat.prompt import prompt_tokens
from nightschool.engine.chat.side_by_side import SideBySide
from nightschool.engine.slots.adapter import Adapter, Factors, new_adapter
from nightschool.engine.slots.blend import Blend
from nightschool.plugins.providers.local import LocalProvider
from nightschool.schemas.messages import Sampling
from nightschool.schemas.records import Finish, Role
from nightschool.tests.tiny import save_tiny

CUT = 2


@pytest.fixture
def voices(tiny_base, tmp_path):
    """The plain base, two adapters, and both at once."""
    folders = []
    for seed in (1, 2):
        generator = torch.Generator().manual_seed(seed)
        fresh = new_adapter(open_tail(tiny_base, CUT), 4, seed=seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        factors = {
            p: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.3) for p, f in fresh.factors.items()
        }
        Adapter(factors).save(folder, "tiny")
        folders.append(folder)
    return [None, *folders, Blend(((folders[0], 0.5), (folders[1], 0.5)))]


def alone(base, voice, **sampling):
    return asyncio.run(
        Chat(base, LocalProvider(base), CUT).reply(
            1, [Turn(Role.USER, "Hello")], system="", adapter=voice, sampling=Sampling(**sampling),
            on_text=lambda text: None, cancelled=lambda: False,
        )
    )  # fmt: skip


@pytest.mark.parametrize("sampling", [{"max_tokens": 20}, {"max_tokens": 20, "temperature": 1.0, "seed": 3}])
def test_each_voice_says_what_it_says_alone(tiny_base, voices, sampling):
    pieces = dict.fromkeys(range(4), "")

    def on_text(number, piece):
        pieces[number] += piece

    prompt = prompt_tokens(tiny_base, "Hello")
    found = SideBySide(tiny_base, CUT).answer(prompt, voices, Sampling(**sampling), on_text)
    assert found == [alone(tiny_base, voice, **sampling) for voice in voices]
    assert [reply.text for reply in found] == list(pieces.values())
    assert len({reply.text for reply in found}) == 4


def test_one_that_ends_early_leaves_the_others_as_they_are(tiny_base, voices):
    """The first voice, whose row another then takes, ends where the second goes on."""
    prompt, both = prompt_tokens(tiny_base, "Hello"), SideBySide(tiny_base, CUT)
    whole = both.answer(prompt, voices[:3], Sampling(max_tokens=20))
    card = tiny_base.card
    letters = [tiny_base.tokenizer(reply.text)["input_ids"] for reply in whole]
    ending = next(token for token in letters[0] if token not in letters[1] + letters[2])
    ended = SideBySide(
        type(tiny_base)(
            **{**vars(tiny_base), "card": card.model_copy(update={"end_of_turn": [*card.end_of_turn, ending]})}
        ),
        CUT,
    ).answer(prompt, voices[:3], Sampling(max_tokens=20))
    assert ended[0].finish is Finish.STOP
    assert ended[0].tokens < whole[0].tokens
    assert ended[1:] == whole[1:]


def test_what_was_said_stays_when_it_is_stopped(tiny_base, voices):
    looks = iter([False] * 3 + [True])
    both = SideBySide(tiny_base, CUT)
    found = both.answer(
        prompt_tokens(tiny_base, "Hello"), voices[:2], Sampling(max_tokens=20), cancelled=lambda: next(looks)
    )
    assert [(reply.finish, reply.tokens) for reply in found] == [(Finish.CANCELLED, 3)] * 2


@pytest.mark.parametrize("family", ["deepseek_v2", "deepseek_v3"])
def test_voices_of_a_family_without_lean_halves_say_what_they_say_alone(tmp_path, family):
    base = load(save_tiny(tmp_path / "tiny", family))
    found = SideBySide(base, CUT).answer(prompt_tokens(base, "Hello"), [None, None], Sampling(max_tokens=8))
    assert found == [alone(base, None, max_tokens=8)] * 2
