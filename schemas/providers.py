"""Providers elsewhere, as the engine tells of them: which the profile names, and what one is worth."""

from __future__ import annotations

from pydantic import Field

from .hsp import Description
from .records import Record


class KnownProvider(Record):
    """A server that the profile names: a table ``[servers.NAME]`` of its settings, and who computes there.

    Attributes:
        kind: ``hsp``, or an engine of others that gives final states alone: ``vllm``, ``llama.cpp``, ``sglang`` ...
        used: Whether the profile computes there.
        studies: Whether its studies do.
        slots: Which do so on their own account.
    """

    name: str
    used: bool = False
    studies: bool = False
    slots: list[str] = Field(default_factory=list)
    url: str
    kind: str = "hsp"
    key_file: str = ""
    codec: str = "bf16"
    zstd: bool = True
    plain_http: bool = False
    carrier: str = "auto"
    kl_budget: float | None = None


class KnownProviders(Record):
    """Where lower blocks compute, the preferred one first, and all servers the profile names.

    Attributes:
        provider: Those of chats.
        study_provider: Those of studies.
    """

    provider: list[str]
    study_provider: list[str] = Field(default_factory=lambda: ["local"])
    servers: list[KnownProvider] = Field(default_factory=list)


class CodecFound(Record):
    """What a codec costs on the states of the probe: beside the widest, through this machine's tail.

    Attributes:
        bits: A value.
        kl: Mean divergence of the next-token distributions, nats.
        same_top: Share of positions whose likeliest token stays.
    """

    name: str
    bits: float
    bytes_a_token: int
    kl: float
    same_top: float


class Examined(Record):
    """What was found of a server.

    Attributes:
        distance: Of the probe, nats; None: there was no base here to compare with.
        round_trip_ms: Of the smallest request, median.
        step_ms: Of one token through the trunk and back, median.
        chosen: The codec that rows would come in; empty: it was not found out.
        carrier: What carried the tokens: ``HTTP`` or ``a WebSocket``; empty: none went.
    """

    url: str
    description: Description
    round_trip_ms: float
    cut: int | None = None
    distance: float | None = None
    step_ms: float | None = None
    codecs: tuple[CodecFound, ...] = ()
    chosen: str = ""
    carrier: str = ""


class TrafficFacts(Record):
    """What a reply cost on the way to its provider, so far or in all.

    Attributes:
        provider: Who computed its lower blocks.
        tokens_per_second: Of the reply alone, from its first token on.
        bytes_per_token: That went either way for the reply, after its prompt.
        agreement: Share of the provider's guesses that came true; None: it made none.
        round_trips: That were waited for, the prompt's included.
        saved: Round trips that guesses spared.
    """

    provider: str
    tokens: int
    tokens_per_second: float
    bytes_per_token: float
    agreement: float | None
    round_trips: int
    saved: int
