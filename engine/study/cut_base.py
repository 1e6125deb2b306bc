"""What a study works with: the base, cut in two, and what the tail says as it speaks now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...schemas.errors import PluginError
from ..base.halves import Tail, open_tail, open_trunk
from ..base.library import LoadedBase, load
from ..base.provider import Provider
from ..base.supply import ProviderKind
from ..chat.prompt import prompt_tokens
from ..host.plugins import PluginHost
from ..settings import LOCAL, REMOTE
from .far import far_trunk
from .generate import NearWriter, Text, Writer
from .job import StudyJob


@dataclass(frozen=True)
class CutBase:
    """The base, cut for studying: a provider of states, a tail that changes voice, a writer of what it says."""

    base: LoadedBase
    provider: Provider
    writer: Writer
    tail: Tail
    cut: int
    system: str

    def say(
        self, prompts: Sequence[str], *, limit: int, tell: Callable[[float], None] = lambda share: None
    ) -> list[Text]:
        """Return greedy replies to single questions, each of at most ``limit`` tokens; ``tell`` gets the share done."""
        tokens = [prompt_tokens(self.base, prompt, self.system) for prompt in prompts]
        tokenizer: Any = self.base.tokenizer
        return [
            Text(self._decoded(tokenizer, reply.tokens), reply.finished)
            for reply in self.writer.write(tokens, limit=limit, tell=tell)
        ]

    @staticmethod
    def _decoded(tokenizer: Any, tokens: Sequence[int]) -> str:
        text: str = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()


@contextmanager
def open_cut(job: StudyJob, plugins: PluginHost) -> Iterator[CutBase]:
    """Load the base of a job and cut it. Where the job names servers, they are the trunk, proven before they are used.

    Raises:
        ModelError: If it cannot be used.
        PluginError: If nobody supplies states.
        BaseMismatch: If another base computes at a server.
        RemoteError: If it cannot be asked.
        NotFound, UsageError: If it is not described in the settings, or cannot be used as it is.
    """
    if not job.elsewhere:
        yield cut_here(job, plugins)
        return
    base = load(job.base, numbers=job.numbers, device=job.device)
    tail = open_tail(base, job.cut)
    named = _kind(plugins, REMOTE).named
    assert named is not None
    with far_trunk(lambda: named(base, job.elsewhere), tail, job.cut) as (far, writing):
        yield CutBase(base, far, writing, tail, job.cut, job.system)


def cut_here(job: StudyJob, plugins: PluginHost) -> CutBase:
    """Load the base of a job and cut it, with the trunk in this process.

    Raises:
        ModelError: If it cannot be used.
        PluginError: If nobody supplies states.
    """
    base = load(job.base, numbers=job.numbers, device=job.device)
    tail = open_tail(base, job.cut)
    writer = NearWriter(open_trunk(base, job.cut), tail, base.card.end_of_turn)
    return CutBase(base, _kind(plugins, LOCAL).open(base), writer, tail, job.cut, job.system)


def _kind(plugins: PluginHost, name: str) -> ProviderKind:
    kinds: list[ProviderKind] = plugins.collect("nightschool_providers")
    for kind in kinds:
        if kind.name == name:
            return kind
    raise PluginError(f"No plugin supplies the {name} provider; install Night School again.")
