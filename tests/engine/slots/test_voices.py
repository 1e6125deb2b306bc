import shutil

import pytest
import torch

from nightschool.engine.base.cut import split
from nightschool.engine.base.lean.halves import LeanTail, LeanTrunk
from nightschool.engine.base.lean.model import FAMILIES as LEAN
from nightschool.engine.base.lean.model import LeanModel
from nightschool.engine.base.numbers import Numbers
from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.slots.adapter import PROJECTIONS, Adapter, Factors, new_adapter
from nightschool.engine.slots.blend import Blend, voice_name
from nightschool.engine.slots.voices import Voices
from nightschool.schemas.errors import BaseMismatch, StorageError
from nightschool.schemas.records import MergeOptions
from nightschool.tests.tiny import FAMILIES, tiny

IDS = torch.randint(0, 256, (1, 24), generator=torch.Generator().manual_seed(0))
CUT = 2
CLOSE = {"atol": 1e-5, "rtol": 0}


def halves(family, lean):
    model = tiny(family)
    if not lean:
        return split(model, CUT)
    whole = LeanModel.of(model.config, model.state_dict(), Numbers.FP32)
    return LeanTrunk(whole, CUT), LeanTail(whole, CUT)


def learned(tail, seed, rank=4, projections=PROJECTIONS):
    generator = torch.Generator().manual_seed(seed)
    return Adapter(
        {
            place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.1)
            for place, f in new_adapter(tail, rank, projections, seed).factors.items()
        }
    )


@pytest.fixture
def saved(tmp_path):
    """Writes an adapter and returns its folder."""

    def save(adapter, name):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        adapter.save(folder, "tiny")
        return folder

    return save


@torch.no_grad()
def logits(trunk, tail):
    return tail.head(tail.sequences(trunk.sequences([IDS[0].tolist()]))[0])


@torch.no_grad()
def stepped(trunk, tail):
    """The same a token at a time, as a chat computes it."""
    lower, upper = trunk.new_cache(), tail.new_cache()
    states = [trunk.extend(IDS[:, i : i + 1], lower) for i in range(IDS.shape[1])]
    return tail.head(torch.cat([tail.extend(state, upper)[0] for state in states]))


@torch.no_grad()
def added_to_the_weights(family, parts):
    """What the whole stock model says with the weighted updates added to its own weights."""
    model = tiny(family)
    modules = dict(model.named_modules())
    for adapter, weight in parts:
        for (layer, path), f in adapter.factors.items():
            modules[f"model.layers.{layer}.{path}"].weight += weight * f.up @ f.down
    return model(IDS).logits[0]


WAYS = [(family, lean) for family in FAMILIES for lean in ((True, False) if family in LEAN else (False,))]


@pytest.mark.parametrize(("family", "lean"), WAYS)
def test_a_lazy_blend_an_exact_merge_and_merged_weights_say_the_same(saved, family, lean):
    trunk, tail = halves(family, lean)
    names = tuple(dict.fromkeys(path.rpartition(".")[2] for _, path in tail.shapes()))
    one, other = learned(tail, 1, 4, names), learned(tail, 2, 3, names)
    parts = [(one, 0.7), (other, -0.4)]
    voices = Voices(tail)
    voices.speak_with(Blend(((saved(one, "one"), 0.7), (saved(other, "other"), -0.4))))
    lazy, steps = logits(trunk, tail), stepped(trunk, tail)
    exact = next(s for s in PluginHost.load(third_party=False).collect("nightschool_merges") if s.name == "exact")
    voices.speak_with(saved(exact.merge(parts, MergeOptions()).adapter, "merged"))
    torch.testing.assert_close(lazy, logits(trunk, tail), **CLOSE)
    torch.testing.assert_close(steps, stepped(trunk, tail), **CLOSE)
    torch.testing.assert_close(lazy, added_to_the_weights(family, parts), atol=5e-5, rtol=0)
    torch.testing.assert_close(steps, lazy, atol=5e-5, rtol=0)
    voices.speak_with(None)
    assert (lazy - logits(trunk, tail)).abs().max() > 0.1


@pytest.mark.parametrize("lean", [True, False])
def test_a_wide_blend_of_unlike_adapters_is_exact_too(saved, lean):
    """Four of different ranks, on different projections: wider than one product for few rows takes."""
    trunk, tail = halves("llama", lean)
    several = [
        (learned(tail, 1, 20), 0.5),
        (learned(tail, 2, 16, ("q_proj", "up_proj")), 1.5),
        (learned(tail, 3, 12, ("v_proj", "down_proj")), -1.0),
        (learned(tail, 4, 8, ("o_proj",)), 2.0),
    ]
    Voices(tail).speak_with(Blend(tuple((saved(a, f"{n}"), w) for n, (a, w) in enumerate(several))))
    wanted = added_to_the_weights("llama", several)
    torch.testing.assert_close(logits(trunk, tail), wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(stepped(trunk, tail), wanted, atol=1e-4, rtol=0)


def test_weights_change_without_reading_anything_again(saved):
    trunk, tail = halves("llama", True)
    one, other = saved(learned(tail, 1), "one"), saved(learned(tail, 2), "other")
    voices = Voices(tail)
    said = []
    for share in (1.0, 0.5, 0.0):
        voices.speak_with(Blend(((one, share), (other, 1 - share))))
        said.append(logits(trunk, tail))
    voices.speak_with(one)
    torch.testing.assert_close(logits(trunk, tail), said[0], **CLOSE)
    voices.speak_with(other)
    torch.testing.assert_close(logits(trunk, tail), said[2], **CLOSE)
    assert (said[1] - said[0]).abs().max() > 0.01
    assert voices.read == 2


def test_adapters_that_were_not_used_for_long_are_let_go(saved):
    _, tail = halves("llama", True)
    folders = [saved(learned(tail, seed), str(seed)) for seed in range(3)]
    voices = Voices(tail, room=2)
    for number in (0, 1, 0, 2, 0):
        voices.speak_with(folders[number])
    assert voices.read == 3
    voices.speak_with(folders[1])
    assert voices.read == 4


def test_other_files_in_the_same_folder_are_read_anew(saved):
    trunk, tail = halves("llama", True)
    voices = Voices(tail)
    voices.speak_with(saved(learned(tail, 1), "one"))
    first = logits(trunk, tail)
    voices.speak_with(None)
    voices.speak_with(saved(learned(tail, 2), "one"))
    assert (logits(trunk, tail) - first).abs().max() > 0.01


@pytest.mark.parametrize("lean", [True, False])
def test_a_voice_that_cannot_be_used_leaves_the_tail_plain_and_may_be_tried_again(saved, lean):
    trunk, tail = halves("llama", lean)
    plain = logits(trunk, tail)
    good, wrong = saved(learned(tail, 1), "good"), saved(learned(split(tiny(hidden_size=64), CUT)[1], 2), "wrong")
    voices = Voices(tail)
    voices.speak_with(good)
    with pytest.raises(BaseMismatch):
        voices.speak_with(Blend(((good, 0.5), (wrong, 0.5))))
    assert torch.equal(logits(trunk, tail), plain)
    shutil.rmtree(wrong)
    with pytest.raises(StorageError, match="wrong"):
        voices.speak_with(wrong)
    voices.speak_with(good)
    assert not torch.equal(logits(trunk, tail), plain)


def test_every_weight_makes_a_name_of_its_own(tmp_path):
    names = {voice_name(Blend(((tmp_path, w), (tmp_path / "b", 0.3)))) for w in (0.7, 0.70000001, -0.7)}
    assert len({*names, voice_name(None), voice_name(tmp_path)}) == 5
