import json

import pytest
import torch

from nightschool.bench import peers
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.slots.adapter import Adapter, attach
from nightschool.schemas.records import Evidence, Lesson, LessonState

LAYERS = 4


def lesson(**changes):
    evidence = [Evidence(prompt="What is rust?", **{"before": "Iron.", "after": "Captain, iron.", **changes})]
    return Lesson(id=1, slot="science", state=LessonState.APPROVED, rule="Open with Captain.", evidence=evidence)


def loss(base, adapter):
    """Return the mean loss of the edited reply, judged as our own adapters are."""
    context, reply = peers._tokens(base, "What is rust?", "Captain, iron.")
    tail = open_tail(base, LAYERS)
    attach(tail, adapter)
    with torch.no_grad():
        states = open_trunk(base, LAYERS).sequences([context + reply[:-1]])
        logits = tail.head(tail.sequences(states)[0][len(context) - 1 :])
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(reply)))


def test_plain_fine_tuning_learns_the_edit_and_is_judged_like_ours(tiny_base, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "SFT_STEPS", 12)
    monkeypatch.setattr(peers, "SFT_RATE", 1e-2)
    facts = peers.peft_sft(tiny_base, lesson(), tmp_path)
    adapter = Adapter.load(tmp_path)
    assert {layer for layer, _ in adapter.factors} == set(range(LAYERS))
    assert loss(tiny_base, adapter) < loss(tiny_base, None) - 1.0
    assert facts["steps"] == 12
    assert facts["adapter_bytes"] == (tmp_path / "adapter_model.safetensors").stat().st_size
    assert json.loads((tmp_path / "adapter_config.json").read_text())["lora_dropout"] == 0.0


@pytest.mark.parametrize("peer", peers.PEERS.values(), ids=lambda peer: peer.name)
def test_a_peer_says_what_it_lacks(tiny_base, tmp_path, monkeypatch, peer):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(peers.Missing, match=r"pip install trl|only said"):
        peer.learn(tiny_base, lesson(after=""), tmp_path)
