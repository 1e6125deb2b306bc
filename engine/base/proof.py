"""From the files beside somebody's weights to a card of our own: all that can be computed here is, and compared.

What a stranger wrote reaches a library only after the family and the sizes were looked at.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ...schemas.cards import BaseCard, Probe
from ...schemas.errors import BaseMismatch
from ...schemas.hsp import BaseIdentity, Contents
from .families import check_family
from .weights import read_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SIZES = {"layers": "num_hidden_layers", "width": "hidden_size", "vocabulary": "vocab_size"}


def check_config(folder: Path, claimed: BaseIdentity) -> None:
    """Look at a ``config.json`` before any library does.

    Raises:
        UnsupportedFamily: If the base cannot be cut, or brings code of its own.
        ModelDamaged: If it does not read.
        BaseMismatch: If it is for a base of other sizes than the one that is claimed.
    """
    config = read_config(folder)
    check_family(config)
    for name, field in _SIZES.items():
        if config.get(field) != getattr(claimed, name):
            raise _differs(claimed, f"config.json says {field} {str(config.get(field))[:40]}")


def proven_card(folder: Path, claimed: BaseIdentity, card: BaseCard, contents: Contents) -> BaseCard:
    """Return a card of the base whose configuration and tokenizer lie in a folder and whose tensors are listed.

    Hashes, sizes and ends of a reply are computed here. Only the probe's probabilities, the name and the licence are
    taken from ``card``: they are the word of whoever gave it.

    Raises:
        BaseMismatch: If they are not those of the fingerprint that is claimed.
        ModelDamaged: If they cannot be used.
    """
    from transformers import AutoConfig

    from .card import PROBE_TEXT, end_of_turn, fingerprint_of, hashes_of
    from .library import library_errors, read_tokenizer

    check_config(folder, claimed)
    with library_errors(folder):
        config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    tokenizer = read_tokenizer(folder)
    hashes = hashes_of(config, tokenizer, contents.tensors)
    names = ("config_hash", "tokenizer_hash", "template_hash", "tensors_hash")
    differing = [name for name, found in zip(names, hashes, strict=True) if getattr(claimed, name) != found]
    if differing or fingerprint_of(hashes) != claimed.fingerprint:
        raise _differs(claimed, f"{', '.join(differing) or 'fingerprint'} differ from what its files give")
    if bool(config.tie_word_embeddings) != contents.tied:
        raise _differs(claimed, "its configuration and its list do not agree whether the head is tied")
    _check_probe(card.probe, tokenizer.encode(PROBE_TEXT, add_special_tokens=False), claimed)
    return card.model_copy(
        update={
            **dict(zip(names, hashes, strict=True)),
            "fingerprint": claimed.fingerprint,
            "family": config.model_type,
            "layers": config.num_hidden_layers,
            "width": config.hidden_size,
            "vocabulary": config.vocab_size,
            "context": config.max_position_embeddings,
            "end_of_turn": _ends(folder, config, tokenizer, end_of_turn),
        }
    )


def _ends(folder: Path, config: Any, tokenizer: PreTrainedTokenizerBase, end_of_turn: Any) -> list[int]:
    from transformers import GenerationConfig

    from .library import library_errors

    with library_errors(folder):
        if (folder / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
        else:
            generation = GenerationConfig.from_model_config(config)
    ends: list[int] = end_of_turn(SimpleNamespace(config=config, generation_config=generation), tokenizer)
    return ends


def _check_probe(probe: Probe, tokens: list[int], claimed: BaseIdentity) -> None:
    """Refuse a probe that is none: of another text, with tokens that are not there, or with impossible numbers."""
    rows = len(tokens)
    if probe.tokens != tokens or len(probe.top_ids) != rows or len(probe.top_logprobs) != rows:
        raise _differs(claimed, "its probe is not that of this tokenizer")
    for ids, values in zip(probe.top_ids, probe.top_logprobs, strict=True):
        if len(set(ids)) != len(values) or not ids or not all(0 <= token < claimed.vocabulary for token in ids):
            raise _differs(claimed, "its probe names tokens that are none")
        if not all(math.isfinite(value) and value <= 0 for value in values) or sum(map(math.exp, values)) > 1.01:
            raise _differs(claimed, "its probe holds no probabilities")


def _differs(claimed: BaseIdentity, reason: str) -> BaseMismatch:
    return BaseMismatch(
        f"What was fetched is not {claimed.name} ({claimed.fingerprint[:12]}): {reason}; ask another server."
    )
