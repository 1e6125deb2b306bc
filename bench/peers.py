"""What others would do with the same edit: plain fine-tuning of a LoRA in all blocks, as their libraries do it.

Each learns from the user's edit alone and writes a PEFT adapter of the portable profile, so that it is judged by the
same functions as ours. The numbers are the usual ones of their documentation, with as many steps as an edit bears.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nightschool.engine.base.library import LoadedBase, load
from nightschool.engine.chat.prompt import prompt_tokens, reply_tokens
from nightschool.engine.slots.adapter import PROJECTIONS
from nightschool.engine.study.examples import end_of_turn
from nightschool.schemas.records import Lesson

RANK = 16
SFT_RATE, SFT_STEPS = 1e-3, 24
"""The rate that Tinker's sweeps give for this width, and as many steps as make one edit stick (DESIGN 2.5)."""
DPO_RATE, DPO_BETA, DPO_STEPS = 1e-4, 0.1, 24
"""A tenth of the other's rate, as Tinker has it for LoRA; the beta of TRL."""


class Missing(Exception):
    """What this peer needs is not installed."""


@dataclass(frozen=True)
class Peer:
    """A way of others to learn a lesson: writes an adapter into a folder and returns facts about it."""

    name: str
    learn: Callable[[LoadedBase, Lesson, Path], dict[str, Any]]


def peft_sft(base: LoadedBase, lesson: Lesson, folder: Path) -> dict[str, Any]:
    """Learn the edited reply by cross-entropy: plain SFT."""
    texts = [_tokens(base, prompt, after) for prompt, _, after in _edits(lesson)]
    model = _with_lora(base)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=SFT_RATE, weight_decay=0.0)
    for step in range(SFT_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = SFT_RATE * (1 - step / SFT_STEPS)
        optimizer.zero_grad()
        for context, reply in texts:
            labels = torch.tensor([[-100] * len(context) + reply])
            (model(input_ids=torch.tensor([context + reply]), labels=labels).loss / len(texts)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return _save(model, folder, SFT_STEPS)


def trl_dpo(base: LoadedBase, lesson: Lesson, folder: Path) -> dict[str, Any]:
    """Prefer the edited reply to the one before, with the DPO trainer of TRL; the plain base is its reference.

    Raises:
        Missing: If TRL is not installed.
    """
    if importlib.util.find_spec("trl") is None or importlib.util.find_spec("datasets") is None:
        raise Missing("TRL is not installed; `pip install trl` brings it.")
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = [
        {
            "prompt": [{"role": "user", "content": prompt}],
            "chosen": [{"role": "assistant", "content": after}],
            "rejected": [{"role": "assistant", "content": before}],
        }
        for prompt, before, after in _edits(lesson)
    ]
    settings = DPOConfig(
        output_dir=str(folder / "trl"),
        max_steps=DPO_STEPS,
        per_device_train_batch_size=len(rows),
        learning_rate=DPO_RATE,
        beta=DPO_BETA,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
    )
    trainer = DPOTrainer(
        model=load(base.folder).model,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=base.tokenizer,
        peft_config=_lora(),
    )
    trainer.train()
    return _save(trainer.model, folder, DPO_STEPS)


PEERS: Mapping[str, Peer] = {"peft_sft": Peer("peft_sft", peft_sft), "trl_dpo": Peer("trl_dpo", trl_dpo)}


def _edits(lesson: Lesson) -> list[tuple[str, str, str]]:
    """Return prompt, reply and edit of each edit of a lesson.

    Raises:
        Missing: If it was only said.
    """
    found = [(e.prompt, e.before, e.after) for e in lesson.evidence if e.before and e.after]
    if not found:
        raise Missing("The lesson was only said: there is no edit that it could learn from.")
    return found


def _tokens(base: LoadedBase, prompt: str, reply: str) -> tuple[list[int], list[int]]:
    return prompt_tokens(base, prompt), [*reply_tokens(base, reply), end_of_turn(base)]


def _lora() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM")


def _with_lora(base: LoadedBase) -> Any:
    from peft import get_peft_model

    torch.manual_seed(0)
    return get_peft_model(load(base.folder).model, _lora()).train()


def _save(model: Any, folder: Path, steps: int) -> dict[str, Any]:
    model.save_pretrained(folder)
    size = (folder / "adapter_model.safetensors").stat().st_size
    return {"steps": steps, "adapter_bytes": size}
