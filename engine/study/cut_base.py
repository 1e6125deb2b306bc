"""What a study works with: the base, cut in two."""

from __future__ import annotations

from dataclasses import dataclass

from ...schemas.errors import PluginError
from ..base.halves import Tail, Trunk, open_tail, open_trunk
from ..base.library import LoadedBase, load
from ..base.provider import Provider
from ..base.supply import ProviderKind
from ..host.plugins import PluginHost
from .job import StudyJob


@dataclass(frozen=True)
class CutBase:
    """The base, cut for studying: a trunk to write replies with, a provider of states, a tail that changes voice."""

    base: LoadedBase
    provider: Provider
    trunk: Trunk
    tail: Tail
    cut: int
    system: str

    @staticmethod
    def open(job: StudyJob, plugins: PluginHost) -> CutBase:
        """Load the base of a job and cut it.

        Raises:
            ModelError: If it cannot be used.
            PluginError: If nobody supplies states.
        """
        kinds: list[ProviderKind] = plugins.collect("nightschool_providers")
        local = next((kind for kind in kinds if kind.name == "local"), None)
        if local is None:
            raise PluginError("No plugin supplies the local provider; install Night School again.")
        base = load(job.base, numbers=job.numbers, device=job.device)
        trunk, tail = open_trunk(base, job.cut), open_tail(base, job.cut)
        return CutBase(base, local.open(base), trunk, tail, job.cut, job.system)
