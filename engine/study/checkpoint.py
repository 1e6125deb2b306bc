"""Training that goes on where it was cut: what a trainer knows now and then, on disk until the study has ended.

A file is named by everything the training starts from, so that a study begun anew finds what an equal one had done, and
one that differs in a single token does not. What is read back is trained on bit for bit as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...schemas.cards import BaseCard
from ...schemas.records import CurvePoint
from ..files import remove_parts, storage_errors, write_atomic
from .job import StudyJob
from .task import TrainingTask

EVERY = 8
"""Steps between two files; some ten seconds of work on two cores, against a tenth of one for the writing."""
MOST = 4
"""Files that are kept of trainings which were never ended."""

_CURVE = TypeAdapter(list[CurvePoint])


@dataclass(frozen=True)
class Kept:
    """What a trainer knew after ``step`` steps: tensors by names of its own, and the curve so far."""

    step: int
    tensors: dict[str, Tensor]
    curve: list[CurvePoint]


class Checkpoint:
    """The file of one training."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def load(self) -> Kept | None:
        """Return what was kept, or None where nothing was, or nothing that reads back."""
        try:
            with safe_open(self.file, framework="pt") as stored:
                facts = stored.metadata() or {}
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - a reader
            return Kept(int(facts["step"]), tensors, _CURVE.validate_json(facts["curve"]))
        except (OSError, SafetensorError, KeyError, ValueError, ValidationError):
            return None  # the steps are made again

    def keep(self, step: int, tensors: dict[str, Tensor], curve: Sequence[CurvePoint]) -> None:
        """Keep what is known after ``step`` steps.

        Raises:
            StorageError: If it cannot be written.
        """
        with storage_errors(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
        facts = {"step": str(step), "curve": _CURVE.dump_json(list(curve)).decode()}
        write_atomic(self.file, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=facts))


class Checkpoints:
    """The files of one study: each of its trainings has one."""

    def __init__(self, job: StudyJob, card: BaseCard) -> None:
        self._folder = job.cache / "trainings" if job.cache is not None else None
        self._base = [card.fingerprint, str(job.cut), job.numbers.value]
        self._files: list[Path] = []

    def of(self, task: TrainingTask, trainer: str) -> Checkpoint | None:
        """Return the checkpoint of a training by a trainer; None where the job has no place to keep one."""
        if self._folder is None:
            return None
        file = self._folder / f"{_key([*self._base, trainer], task)}.safetensors"
        self._files.append(file)
        _prune(self._folder)
        return Checkpoint(file)

    def drop(self) -> None:
        """Forget what was kept, once the study has come to an end.

        Raises:
            StorageError: If a file cannot be removed.
        """
        for file in self._files:
            with storage_errors(file):
                file.unlink(missing_ok=True)


def _key(base: Sequence[str], task: TrainingTask) -> str:
    """Return a name for all that the training depends on."""
    digest = hashlib.sha256(json.dumps([*base, repr(task.recipe), task.projections]).encode())
    for example in task.examples:
        digest.update(
            json.dumps([example.part, example.tokens, len(example.targets), example.weight, example.opened]).encode()
        )
        for mask in (example.targets, example.taught, example.leads, example.risky, example.exchanges):
            digest.update(b"-" if mask is None else mask.cpu().numpy().tobytes())
    for pair in task.pairs:
        for side in (pair.chosen, pair.rejected):
            digest.update(json.dumps([side.tokens, side.rows.tolist(), side.targets.tolist(), pair.weight]).encode())
    for place, factors in task.start.factors.items() if task.start is not None else ():
        digest.update(repr(place).encode())
        for half in (factors.down, factors.up):
            digest.update(half.cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _prune(folder: Path) -> None:
    """Remove all but the latest files, of studies that nobody began again, and what those left that were killed."""
    remove_parts(folder)
    with storage_errors(folder):
        files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[MOST:]:
            file.unlink(missing_ok=True)
