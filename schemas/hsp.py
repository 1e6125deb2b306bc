"""The JSON records of the Hidden-State Protocol HSP/1; docs/protocol.md says what they mean, frames carry the rest.

Whoever answers must ignore nothing: unknown fields of a request are refused. Whoever asks must ignore fields that it
does not know, so that a server may say more.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PROTOCOL: Literal["HSP/1"] = "HSP/1"
MOST_AHEAD = 256
"""Tokens that a server may run ahead of its client."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="Hash of a prefix of tokens, see protocol.md.")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Name = Annotated[str, Field(max_length=200)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]


class Asked(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Answered(BaseModel):
    """What a server sends."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


# -- describe ---------------------------------------------------------------------------------------------------------


class CodecError(Answered):
    """What a codec costs, measured on states of the default model: see bench/codecs.py."""

    kl: float = Field(ge=0, description="Mean KL divergence of the next-token distribution from float32, nats.")
    same_top: float = Field(ge=0, le=1, description="Share of positions whose likeliest token stays the same.")


class CodecInfo(Answered):
    """A codec that the server writes."""

    name: Name
    bits: float = Field(gt=0, description="Bits a value, long rows of a width divisible by 64.")
    error: CodecError | None = Field(default=None, description="None: float32 comes back as it was.")


class BaseIdentity(Answered):
    """Which base is served: the fields of a base card but its probe. A claim, until the probe has been run."""

    fingerprint: Sha256
    name: Name
    family: Name
    layers: int = Field(gt=0, le=10_000)
    width: int = Field(gt=0, le=1 << 20)
    vocabulary: int = Field(gt=0, le=1 << 31)
    context: int = Field(gt=0, le=1 << 31)
    config_hash: Sha256
    tokenizer_hash: Sha256
    template_hash: Sha256
    tensors_hash: Sha256
    trunk_hash: Sha256 | None = Field(default=None, description="Tensors of the served trunk alone, where known.")
    tail_hash: Sha256 | None = Field(default=None, description="Tensors of the tail alone, where known.")


class Compute(Answered):
    """What computes the states."""

    engine: Name = Field(description="Program and version.")
    device: Name = ""
    numbers: Name = Field(description="What matrices are kept in: fp32, bf16, int8, int4, Q4_1 ...")
    cache: Name = Field(default="", description="What keys and values are kept in.")
    attention: Name = ""


class Limits(Answered):
    """What the server allows this key. Clients send less at a time, or are refused."""

    step_tokens: int = Field(gt=0, description="Tokens of one step.")
    capture_tokens: int = Field(default=0, ge=0, description="Tokens of one capture, all sequences; 0: no capture.")
    capture_sequences: int = Field(default=0, ge=0)
    body_bytes: int = Field(gt=0)
    sessions: int = Field(gt=0, description="Open at once.")
    idle_seconds: float = Field(gt=0, description="After which a session may be dropped.")
    ahead: int = Field(default=0, ge=0, description="Tokens that streaming runs ahead at most; 0: no streaming.")


class Norm(StrEnum):
    """Whether the states of cut 0 are before or after the final norm. Those of any other cut are before it."""

    BEFORE = "before"
    AFTER = "after"


class Description(Answered):
    """What ``GET describe`` answers."""

    protocol: Literal["HSP/1"] = PROTOCOL
    base: BaseIdentity
    compute: Compute
    cuts: list[int] = Field(max_length=10_000, description="Offered numbers of tail blocks.")
    norm: Norm = Norm.BEFORE
    codecs: list[CodecInfo] = Field(min_length=1, max_length=64)
    zstd: bool = False
    verbs: list[Name] = Field(max_length=64, description="Of: step, capture, stream, tail; and socket.")
    limits: Limits
    notes: list[Name] = Field(default=[], max_length=64, description="What it cannot do, in sentences.")


# -- the tail -------------------------------------------------------------------------------------------------------


class TensorEntry(Answered):
    """A tensor of the base, as ``tensors_hash`` counts it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,300}$")
    dtype: str = Field(pattern=r"^torch\.[a-z0-9_]{1,30}$", description="As PyTorch writes it.")
    shape: list[Count] = Field(max_length=8)
    sha256: Sha256 = Field(description="Of its numbers, little-endian, row by row.")


class SideFile(Answered):
    """A file beside the weights: configuration, tokenizer, card."""

    name: FileName
    size: int = Field(ge=0, le=1 << 28)
    sha256: Sha256


class Contents(Answered):
    """What ``GET contents`` answers: what the base consists of, and which part of it is given."""

    fingerprint: Sha256
    tied: bool = Field(description="The head is the table of embeddings; then a head that is stored too is not listed.")
    upper: int = Field(ge=0, le=10_000, description="How many blocks, counted from the top, are given.")
    files: list[SideFile] = Field(max_length=32)
    tensors: list[TensorEntry] = Field(max_length=1 << 20, description="All of the base.")


# -- sessions ---------------------------------------------------------------------------------------------------------


class Open(Asked):
    """Begin an empty session."""

    fingerprint: Sha256
    cut: Count
    codec: Name = "bf16"
    zstd: bool = Field(default=False, description="Frames of 16 rows or more may come compressed.")


class Opened(Answered):
    """The session: a random name that only this key can use."""

    session: SessionId
    idle_seconds: float = Field(gt=0)


class Step(Asked):
    """Go back to where the TOKENS frame begins, append its tokens, and answer the states from ``first`` on.

    ``hash`` is that of the tokens before the frame's position. ``step`` grows with each step of a session; the number
    of the last one again is a retry and gets the same answer.
    """

    verb: Literal["step"] = "step"
    session: SessionId | None = Field(default=None, description="Only where no path says it: over a WebSocket.")
    step: int = Field(ge=1, le=(1 << 53) - 1)
    hash: Hash
    first: Count = Field(
        description="Position of the first state that is wanted; from the frame's position to its end."
    )


class StepEnd(Answered):
    """What the session holds after a step."""

    have: Count
    hash: Hash


class Capture(Asked):
    """Compute whole sequences, one TOKENS frame each, without a session."""

    verb: Literal["capture"] = "capture"
    fingerprint: Sha256
    cut: Count
    codec: Name = "bf16"
    zstd: bool = False


class CaptureEnd(Answered):
    """How many sequences and rows were answered."""

    sequences: Count
    rows: Count


# -- streaming (``correct`` is reserved) ------------------------------------------------------------------------------


class Noise(Asked):
    """How both sides choose tokens alike: the sampling of the request, and the seed of the shared noise."""

    seed: int = Field(ge=0, le=(1 << 63) - 1)
    temperature: float = Field(ge=0, le=10)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1, gt=0, le=1)
    min_p: float = Field(default=0, ge=0, le=1)
    repetition: float = Field(
        default=1, gt=0, description="Divides positive, multiplies negative logits of tokens said."
    )


class Stream(Asked):
    """Like ``Step``; then go on with tokens of the server's own guess, at most ``ahead`` beyond what was accepted."""

    verb: Literal["stream"] = "stream"
    session: SessionId | None = None
    step: int = Field(ge=1, le=(1 << 53) - 1)
    hash: Hash
    first: Count
    ahead: int = Field(ge=1, le=MOST_AHEAD)
    most: int = Field(ge=1, le=1 << 20, description="Tokens after which the stream ends.")
    ends: list[Count] = Field(default=[], max_length=64, description="Tokens after which nothing is guessed.")
    guessed: int = Field(default=0, ge=0, le=64, description="Of the tokens the last ones: guesses of the client.")
    noise: Noise


class Correct(Asked):
    """Tell a stream what was accepted, and replace what follows by the TOKENS frame.

    ``sequence`` counts the corrections of the stream, from 1; rows computed after it carry the number in their frames.
    An empty TOKENS frame corrects nothing: it only tells up to where all is accepted.
    """

    verb: Literal["correct"] = "correct"
    session: SessionId | None = None
    sequence: Count
    ahead: int | None = Field(default=None, ge=0, le=MOST_AHEAD, description="From now on; 0 ends the stream.")


# -- errors -----------------------------------------------------------------------------------------------------------


class Code(StrEnum):
    """Why something was refused, and the HTTP status that goes with it."""

    BAD_REQUEST = "bad_request"
    UNAUTHORISED = "unauthorised"
    UNKNOWN_SESSION = "unknown_session"
    CONFLICT = "conflict"
    STALE = "stale"
    BUSY = "busy"
    WRONG_BASE = "wrong_base"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    NOT_OFFERED = "not_offered"
    TOO_MANY = "too_many"
    CACHE_FULL = "cache_full"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal"


STATUS: dict[Code, int] = {
    Code.BAD_REQUEST: 400,
    Code.UNAUTHORISED: 401,
    Code.UNKNOWN_SESSION: 404,
    Code.CONFLICT: 409,
    Code.STALE: 409,
    Code.BUSY: 409,
    Code.WRONG_BASE: 412,
    Code.TOO_LONG: 413,
    Code.TOO_LARGE: 413,
    Code.NOT_OFFERED: 422,
    Code.TOO_MANY: 429,
    Code.CACHE_FULL: 503,
    Code.SHUTTING_DOWN: 503,
    Code.INTERNAL: 500,
}


class Problem(Answered):
    """What was wrong. The body of every answer that is not 2xx, and the payload of an ERROR frame.

    A conflict says what the server has: ``have`` tokens, whose hash is ``hash``.
    """

    code: Code
    message: str = Field(default="", max_length=1000)
    have: Count | None = None
    hash: Hash | None = None
    retry_after: float | None = Field(default=None, ge=0, description="Seconds, as in the header Retry-After.")
    limit: int | None = Field(default=None, ge=0, description="What would have been allowed.")


RECORDS: tuple[type[BaseModel], ...] = (
    *(Description, Contents, Open, Opened, Step, StepEnd, Capture, CaptureEnd),
    *(Stream, Correct, Problem),
)
"""All that appear by themselves; the others are parts of them."""


def json_schema() -> dict[str, Any]:
    """Return one JSON Schema that defines all records; ``schemas/hsp.schema.json`` holds it, and a test compares."""
    from pydantic.json_schema import models_json_schema

    _, schema = models_json_schema([(record, "validation") for record in RECORDS], title="Hidden-State Protocol HSP/1")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":  # python -m nightschool.schemas.hsp > schemas/hsp.schema.json
    sys.stdout.write(json.dumps(json_schema(), indent=1, sort_keys=True) + "\n")
