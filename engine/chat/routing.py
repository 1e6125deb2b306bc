"""Whether a slot's lessons apply to a question at all: where none does, the plain base answers.

The trunk is the same for every slot, so its states of a question are there before any voice is chosen, and what they
tell costs nothing. The classifier is fitted in the study (``engine/study/scoped.py``) and lies beside the adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...schemas.errors import Damaged
from ..base.library import LoadedBase
from ..files import storage_errors, write_atomic
from ..slots.generations import ROUTER
from .prompt import encode

if TYPE_CHECKING:
    from ..study.contracts import Router


@dataclass(frozen=True)
class Routing:
    """A fitted router."""

    router: Router
    fitted: Mapping[str, Tensor]

    def applies(self, states: Tensor, asked: int) -> bool:
        """Whether a lesson applies to the question in the last ``asked`` of some states ``(T, d)``.

        Raises:
            Damaged: If the router was fitted to other features.
        """
        try:
            return self.router.applies(self.fitted, features(states, asked))
        except (RuntimeError, KeyError) as error:
            raise Damaged(
                f"The slot's router does not fit this base ({error}); study again or leave it out."
            ) from error

    def save(self, folder: Path) -> int:
        """Write it beside an adapter and return its bytes.

        Raises:
            StorageError: If it cannot be written.
        """
        data = save({name: tensor.contiguous() for name, tensor in self.fitted.items()}, {"router": self.router.name})
        write_atomic(folder / ROUTER, data)
        return len(data)

    @staticmethod
    def load(folder: Path, routers: Sequence[Router]) -> Routing | None:
        """Return what lies beside an adapter, if one of the routers made it.

        Raises:
            Damaged: If it does not read back.
        """
        file = folder / ROUTER
        if not routers or not file.is_file():
            return None
        try:
            with storage_errors(file), safe_open(file, framework="pt") as stored:
                name = (stored.metadata() or {}).get("router", "")
                fitted = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - a reader
        except SafetensorError as error:
            raise Damaged(f"{file} does not read back ({error}); study again, or roll the slot back.") from error
        made = next((router for router in routers if router.name == name), None)
        return None if made is None else Routing(made, fitted)


def features(states: Tensor, asked: int) -> Tensor:
    """Return what a router sees, ``(2 d,)`` fp32 on the CPU: the mean of the last ``asked`` states and the last one."""
    rows = states[-asked:].float()
    return torch.cat([rows.mean(dim=0), rows[-1]]).cpu()


def asked_tokens(base: LoadedBase, text: str, question: str) -> int:
    """Return how many tokens at the end of a rendered chat are the last question and what follows it."""
    place = text.rfind(question.strip())
    return len(encode(base, text[max(place, 0) :]))
