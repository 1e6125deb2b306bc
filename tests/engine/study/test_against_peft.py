"""Training the tail on cached states is training the last blocks of the whole model with PEFT, step by step."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import load
from nightschool.engine.slots.adapter import attach, new_adapter
from nightschool.engine.study.losses import taught_loss
from nightschool.tests.tiny import FAMILIES, save_tiny

CUT, RANK, STEPS, RATE = 2, 4, 6, 1e-2
BATCH = [([5, 80, 3, 9, 200, 14, 77, 7, 61, 30], 4), ([9, 9, 120, 33, 4], 2), ([1, 2, 3, 4, 5, 6, 7, 8], 1)]
"""Tokens, and where the targets begin."""


def ours(base, adapter):
    """Losses of steps on the tail alone."""
    tail = open_tail(base, CUT)
    states = open_trunk(base, CUT).sequences([tokens[:-1] for tokens, _ in BATCH])
    targets = torch.tensor([token for tokens, start in BATCH for token in tokens[start:]])
    loras = attach(tail, adapter)
    parameters = [factor.requires_grad_() for lora in loras.values() for factor in (lora.down, lora.up)]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    for _ in range(STEPS):
        rows = torch.cat(
            [hidden[start - 1 :] for hidden, (_, start) in zip(tail.sequences(states), BATCH, strict=True)]
        )
        loss = taught_loss(tail, rows, targets, torch.full((len(targets),), 1 / len(targets)), enough=1.0)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        yield float(loss.total.detach())


def with_peft(model, adapter):
    """The same of PEFT on the whole model, with the same factors to begin with."""
    from peft import LoraConfig, get_peft_model

    projections = sorted({path.rpartition(".")[2] for _, path in adapter.factors})
    blocks = sorted({block for block, _ in adapter.factors})
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=projections, layers_to_transform=blocks)
    whole = get_peft_model(model, config)
    for name, parameter in whole.named_parameters():
        if "lora_" in name:
            block, path = name.partition(".layers.")[2].split(".lora_")[0].split(".", 1)
            factors = adapter.factors[int(block), path]
            parameter.data.copy_(factors.down if "lora_A" in name else factors.up)
    optimizer = torch.optim.AdamW([p for p in whole.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0)
    for _ in range(STEPS):
        losses = []
        for tokens, start in BATCH:
            ids = torch.tensor([tokens])
            labels = ids.clone()
            labels[:, :start] = -100
            losses.append(whole(input_ids=ids, labels=labels).loss * (len(tokens) - start))
        loss = torch.stack(losses).sum() / sum(len(tokens) - start for tokens, start in BATCH)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


@pytest.mark.parametrize("family", [name for name in FAMILIES if not name.startswith("deepseek")])
def test_every_step_has_the_loss_that_peft_has(family, tmp_path):
    base = load(save_tiny(tmp_path / family, family))
    adapter = new_adapter(open_tail(base, CUT), RANK)
    theirs = list(with_peft(load(base.folder).model, adapter))
    mine = list(ours(base, adapter))
    assert mine == pytest.approx(theirs, abs=1e-3)
    assert mine[-1] < mine[0] - 0.1
