"""Many replies at once are those that each prompt would get alone, whatever their lengths and the number of rows."""

from __future__ import annotations

import pytest
import torch

from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import load
from nightschool.engine.study import generate
from nightschool.engine.study.generate import write_greedily
from nightschool.tests.tiny import save_tiny

LIMIT = 12


@pytest.fixture(scope="module", params=["llama", "mistral", "deepseek_v3"])
def base(request, tmp_path_factory):
    return load(save_tiny(tmp_path_factory.mktemp("base") / request.param, request.param))


@torch.no_grad()
def alone(base, prompt, ends):
    ids = list(prompt)
    for _ in range(LIMIT):
        token = int(base.model(torch.tensor([ids])).logits[0, -1].argmax())
        if token in ends:
            return ids[len(prompt) :], True
        ids.append(token)
    return ids[len(prompt) :], False


@pytest.mark.parametrize("rows", [3, 48])
def test_each_reply_is_the_one_its_prompt_gets_alone(base, monkeypatch, rows):
    monkeypatch.setattr(generate, "_ROWS", rows)
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(0, 256, (length,), generator=generator).tolist() for length in (3, 9, 1, 17, 4, 6, 2, 11)]
    likely = [token for prompt in prompts for token in alone(base, prompt, ())[0]]
    ends = {likely[4], likely[-7]}  # so that some end early, some at the limit
    expected = [alone(base, prompt, ends) for prompt in prompts]
    assert {finished for _, finished in expected} == {True, False}
    told = []
    found = write_greedily(open_trunk(base, 2), open_tail(base, 2), prompts, ends, limit=LIMIT, tell=told.append)
    assert [(reply.tokens, reply.finished) for reply in found] == expected
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_no_prompts_are_no_replies(base):
    assert write_greedily(open_trunk(base, 2), open_tail(base, 2), [], {257}, limit=LIMIT) == []
