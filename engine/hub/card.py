"""The page of a published version on the hub: what the publisher wrote, figures, and how it is used. No word of a chat.

The block at its head is what the hub sorts by. Everything in the text comes from the card that the publisher filled in,
or is a figure or a hash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...schemas.bundle import CardPart, SampleTurn
from ...schemas.sharing import ROUTED, Shareable, ShareGate

LIBRARY = "peft"
TAGS = ("lora", "nightschool")
SUITE = "nightschool-gates-1"
_LICENCES = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1",
    "lgpl-3.0", "agpl-3.0", "mpl-2.0", "epl-2.0", "unlicense", "wtfpl", "zlib", "isc", "artistic-2.0", "bsl-1.0",
    "ecl-2.0", "eupl-1.1", "eupl-1.2", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "afl-3.0",
})  # fmt: skip
"""What the hub calls the licences it knows; any other is ``other``, with its name."""


def card_text(shared: Shareable, card: CardPart, more: str, *, repository: str, base: str, note: str = "") -> str:
    """Return ``README.md``.

    Args:
        shared: What the engine says of the version.
        card: What the publisher says of it.
        more: A longer text of the publisher's, in Markdown; empty: none.
        repository: ``owner/name``, where it will be.
        base: The base's name on the hub.
        note: How the base that it learned on differs from that one; empty: not at all.
    """
    parts = [f"# {card.title}", card.summary, more.strip()]
    warnings = [*card.warnings, *([ROUTED] if shared.routed else [])]
    parts += ["\n".join(f"- **Note:** {warning}" for warning in warnings)]
    parts += [_samples(card.samples), _prompt(card.system_prompt), _use(repository, base, note), _made(shared)]
    return f"---\n{_head(shared, card, base)}\n---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _head(shared: Shareable, card: CardPart, base: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    licence = card.license.lower()
    known = licence in _LICENCES
    figures = [
        EvalResult(
            task_type="text-generation",
            dataset_type=SUITE,
            dataset_name="gates of a Night School study",
            metric_type=gate.name,
            metric_value=round(gate.value, 6),
        )
        for gate in shared.gates
    ]
    data = ModelCardData(
        base_model=base,
        base_model_relation="adapter",
        library_name=LIBRARY,
        pipeline_tag="text-generation",
        license=licence if known else "other",
        license_name=None if known else re.sub("[^a-z0-9.-]+", "-", licence),
        language=[*card.language] or None,
        tags=[*dict.fromkeys([*TAGS, *card.tags])],
        model_name=card.title,
        eval_results=figures or None,
    )
    if not figures:
        data.model_name = None
    return str(data.to_yaml()).strip()


def _samples(samples: Sequence[SampleTurn]) -> str:
    if not samples:
        return ""
    turns = [
        f"{_quoted(turn.prompt)}\n\nThe base:\n\n{_quoted(turn.before)}\n\nWith it:\n\n{_quoted(turn.after)}"
        for turn in samples
    ]
    return "\n\n".join(["## Sample turns", *turns])


def _quoted(text: str) -> str:
    """Return a text as a block that shows every character as it is."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _prompt(prompt: str | None) -> str:
    return f"## System prompt\n\n{_quoted(prompt)}" if prompt else ""


def _use(repository: str, base: str, note: str) -> str:
    lines = [
        "## Use",
        "",
        f"It is a LoRA for [{base}](https://huggingface.co/{base}). {note}".rstrip(),
        "",
        "```python",
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM",
        "",
        f'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "{repository}")',
        "```",
        "",
        f"In Night School: `nightschool slots import hub:{repository} --into SLOT`",
    ]
    return "\n".join(lines)


def _made(shared: Shareable) -> str:
    lines = ["## How it was made", ""]
    learned = (
        f"learned from corrections, {shared.examples} examples in {shared.steps} steps" if shared.steps else "made"
    )
    lines += [f"Generation {shared.number} of a slot of Night School, {learned} there."]
    if shared.gates:
        lines += ["", "| gate | passed | value | limit |", "|---|---|---|---|", *map(_row, shared.gates)]
    lines += ["", f"The base's tensors: `{shared.base.tensors_hash}` (sha256 of their list)."]
    return "\n".join(lines)


def _row(gate: ShareGate) -> str:
    return f"| {gate.name} | {'yes' if gate.passed else 'no'} | {gate.value:.4g} | {gate.limit:.4g} |"
