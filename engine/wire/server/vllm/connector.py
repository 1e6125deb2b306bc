"""The KV connector that hands vLLM's rows to our server. It runs inside vLLM's worker, in vLLM's own environment.

vLLM's method ``extract_hidden_states`` keeps the inputs of chosen blocks in a paged cache beside keys and values, so
that the rows of a cached prefix are there without being computed again. When a request has ended, this connector takes
the rows that were asked for out of that cache and sends them over the server's Unix socket, under the name that the
request gave:

    one line of JSON  {"name", "rows", "width", "dtype", "bytes"}
    the numbers, row by row, as they lie in memory

A request says ``kv_transfer_params = {"name", "first", "layer"}``: from which position on, and which of the layers that
vLLM was started with. Nothing of Night School is imported here, and no file is written.
"""

from __future__ import annotations

import json
import logging
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from vllm.config import VllmConfig, get_layers_from_vllm_config
from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
    SupportsHMA,
)
from vllm.distributed.parallel_state import get_tensor_model_parallel_rank

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.kv_cache_interface import KVCacheConfig
    from vllm.v1.request import Request

_log = logging.getLogger(__name__)

_SECONDS = 30.0  # in which the server must take a piece


@dataclass
class Ended:
    """A request whose rows are wanted: of which blocks, from ``first`` to ``stop``, of which layer."""

    request: str
    name: str
    blocks: list[int]
    first: int
    stop: int
    layer: int


@dataclass
class Meta(KVConnectorMetadata):  # type: ignore[misc]
    """What the scheduler tells the worker."""

    ended: list[Ended] = field(default_factory=list)


class NightSchoolRows(KVConnectorBase_V1, SupportsHMA):  # type: ignore[misc]
    """Stores nothing and loads nothing: it reads what vLLM keeps, and sends it."""

    def __init__(self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: KVCacheConfig) -> None:
        super().__init__(vllm_config=vllm_config, role=role, kv_cache_config=kv_cache_config)
        self._address = self._kv_transfer_config.get_from_extra_config("nightschool_socket", "")
        self._group, self._block_size = _rows_group(kv_cache_config, vllm_config)
        self._waiting: list[Ended] = []  # the scheduler's
        self._cache: torch.Tensor | None = None  # the worker's
        self._speaks = True
        self._sent: set[str] = set()

    # -- in the scheduler ---------------------------------------------------------------------------------------------

    def get_num_new_matched_tokens(self, request: Request, num_computed_tokens: int) -> tuple[int | None, bool]:
        """Load nothing."""
        return 0, False

    def update_state_after_alloc(self, request: Request, blocks: Any, num_external_tokens: int) -> None:
        """Load nothing."""

    def build_connector_meta(self, scheduler_output: SchedulerOutput) -> KVConnectorMetadata:
        """Tell the worker which requests have ended."""
        ended, self._waiting = self._waiting, []
        return Meta(ended)

    def request_finished(self, request: Request, block_ids: list[int]) -> tuple[bool, dict[str, Any] | None]:
        """Keep the blocks of a request whose rows are wanted until the worker has read them."""
        wanted = request.kv_transfer_params or {}
        name, first = wanted.get("name"), wanted.get("first", 0)
        # The last token was chosen and never read, so there is no row of it. Of one that was aborted nothing is wanted.
        stop = min(request.num_tokens - 1, request.num_computed_tokens)
        if not name or not block_ids or first >= stop:
            return False, None
        layer = int(wanted.get("layer", 0))
        self._waiting.append(Ended(request.request_id, str(name), list(block_ids), int(first), stop, layer))
        return True, None

    def request_finished_all_groups(
        self, request: Request, block_ids: tuple[list[int], ...]
    ) -> tuple[bool, dict[str, Any] | None]:
        """Do the same where there are several groups of blocks."""
        if not 0 <= self._group < len(block_ids):
            return False, None
        return self.request_finished(request, block_ids[self._group])

    def get_finished_count(self) -> int:
        """Return how many workers say that rows were sent: one, the first of its tensor-parallel group."""
        return 1

    # -- in the worker ------------------------------------------------------------------------------------------------

    def register_kv_caches(self, kv_caches: dict[str, torch.Tensor]) -> None:
        """Find the cache that holds rows: ``(blocks, layers, tokens of a block, width)``."""
        from vllm.model_executor.models.extract_hidden_states import CacheOnlyAttentionLayer

        self._speaks = get_tensor_model_parallel_rank() == 0
        layers = get_layers_from_vllm_config(self._vllm_config, CacheOnlyAttentionLayer, list(kv_caches))
        if len(layers) != 1:
            raise ValueError(f"Night School needs one layer that holds rows, and vLLM has {len(layers)}")
        self._cache = kv_caches[next(iter(layers))]
        if self._cache.shape[2] != self._block_size:
            raise ValueError(f"a block of rows has {self._cache.shape[2]} tokens, not {self._block_size}")

    def start_load_kv(self, *args: Any, **kwargs: Any) -> None:
        """Load nothing."""

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Load nothing."""

    def save_kv_layer(self, layer_name: str, kv_layer: torch.Tensor, attn_metadata: Any, **kwargs: Any) -> None:
        """Do nothing: the layer has kept them by itself."""

    def wait_for_save(self) -> None:
        """Do nothing."""

    def get_finished(self, finished_req_ids: set[str]) -> tuple[set[str] | None, set[str] | None]:
        """Send the rows of requests that have ended, and say that their blocks may go."""
        if self.has_connector_metadata():
            meta = self._get_connector_metadata()
            for ended in meta.ended if isinstance(meta, Meta) else ():
                if self._speaks:
                    self._send(ended)
                    self._sent.add(ended.request)
        sent, self._sent = self._sent, set()
        return sent or None, None

    def _send(self, ended: Ended) -> None:
        assert self._cache is not None
        blocks = torch.tensor(ended.blocks, device=self._cache.device)
        places = torch.arange(ended.first, ended.stop, device=self._cache.device)
        rows = (
            self._cache[blocks[places // self._block_size], ended.layer, places % self._block_size].cpu().contiguous()
        )
        data = rows.view(torch.uint8).reshape(-1).numpy().tobytes()
        said = {
            "name": ended.name,
            "rows": rows.shape[0],
            "width": rows.shape[1],
            "dtype": str(rows.dtype).removeprefix("torch."),
            "bytes": len(data),
        }
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(_SECONDS)
                line.connect(self._address)
                line.sendall(json.dumps(said).encode() + b"\n" + data)
        except OSError as error:  # the server waits no longer, or is gone
            _log.warning("rows could not be handed over (%s)", error)


def _rows_group(config: KVCacheConfig | None, vllm_config: VllmConfig) -> tuple[int, int]:
    """Return which group of blocks holds rows, and how many tokens a block of it has."""
    if config is None:
        return 0, vllm_config.cache_config.block_size
    from vllm.v1.kv_cache_interface import HiddenStateCacheSpec

    groups = config.kv_cache_groups
    found = [number for number, group in enumerate(groups) if isinstance(group.kv_cache_spec, HiddenStateCacheSpec)]
    if not found and len(groups) == 1:
        found = [0]
    if len(found) != 1:
        raise ValueError(
            "vLLM does not keep rows in a group of their own; models with latent attention cannot be served"
        )
    return found[0], groups[found[0]].kv_cache_spec.block_size
