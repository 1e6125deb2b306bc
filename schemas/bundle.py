"""What a bundle says of itself: the signed manifest, and the two JSON files beside the weights; docs/bundle.md.

Closed records, so that nothing travels in a bundle that no reader looks at: unknown fields are refused, texts hold no
control or direction characters, every list and every text has an end. ``bundle.schema.json`` says the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

STATEMENT: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
PREDICATE: Literal["urn:nightschool:slot-bundle:v1"] = "urn:nightschool:slot-bundle:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
FORMAT: Literal[1] = 1

_DECEIVING = r"\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
LINE = rf"^[^\u0000-\u001f{_DECEIVING}]*$"
"""Text on one line: nothing that a terminal obeys, nothing that turns the direction of writing."""
TITLE = rf"^[^\u0000-\u001f\[\]{_DECEIVING}]*$"
"""The same without brackets, which some terminal programs read as markup."""
LINES = rf"^[^\u0000-\u0008\u000b-\u001f{_DECEIVING}]*$"
"""Text on several lines: line feed and tab as well."""
TEXTS = frozenset({LINE, TITLE, LINES})

DEVICES = ("aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)))
"""What no file can be called on Windows."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _no_device(name: str) -> str:
    if name in DEVICES:
        raise ValueError("no file can be called so on Windows")
    return name


def _whole(number: Any) -> Any:
    """Refuse what Python takes for the number 1: ``true`` and ``1.0``."""
    if type(number) is not int:
        raise ValueError("it is no whole number")
    return number


Format = Annotated[Literal[1], BeforeValidator(_whole)]
SlotName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", json_schema_extra={"not": {"enum": list(DEVICES)}}),
    AfterValidator(_no_device),
]
Semver = Annotated[
    str,
    Field(
        pattern=r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-[0-9A-Za-z.-]{1,32})?$",
    ),
]
Line = Annotated[str, Field(max_length=200, pattern=LINE)]
Lines = Annotated[str, Field(max_length=4000, pattern=LINES)]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/@-]{1,200}$")]
Projection = Annotated[str, Field(pattern=r"^[a-z_]{1,60}$")]
Size = Annotated[int, Field(ge=1, le=512 << 20)]
Count = Annotated[int, Field(ge=0, le=1 << 48)]
Moment = Annotated[int, Field(ge=0, le=253_402_000_000)]
"""Seconds since the epoch, UTC, as long as its year has four digits wherever one is: later no calendar shows it."""
Figures = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,60}$")], float],
    Field(max_length=200, json_schema_extra={"additionalProperties": False}),
]


class Part(BaseModel):
    """A closed part of the manifest, read without turning one kind of value into another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


# -- who, what, on which base -----------------------------------------------------------------------------------------


class SlotPart(Part):
    """Which slot, and which version of it."""

    name: SlotName
    version: Semver
    seq: int = Field(ge=1, le=1 << 48, description="Grows with every version that its publisher gives out.")
    prev: Sha256 | None = Field(description="Id of the bundle before it; null: there was none.")
    created: Moment = Field(description="When the version was made, seconds since the epoch, UTC.")


class KeyPart(Part):
    """A public key."""

    alg: Literal["ed25519"]
    public: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$", description="32 bytes in base64.")


class PublisherPart(Part):
    """Who says all this: ``threshold`` of the keys must have signed."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    keys: list[KeyPart] = Field(min_length=1, max_length=8)
    threshold: int = Field(ge=1, le=8)


class BasePart(Part):
    """The base that the adapter belongs to, by what it is. Its fingerprint is the sha256 over the four hashes' text."""

    id: Line = Field(description="What people call it; decides nothing.")
    revision: Line
    arch: Word
    hidden: int = Field(ge=1, le=1 << 20)
    layers: int = Field(ge=1, le=10_000)
    vocab: int = Field(ge=1, le=1 << 31)
    config_sha256: Sha256
    tokenizer_sha256: Sha256
    chat_template_sha256: Sha256
    tensor_index_sha256: Sha256

    @property
    def fingerprint(self) -> str:
        """As that of a base card."""
        hashes = (self.config_sha256, self.tokenizer_sha256, self.chat_template_sha256, self.tensor_index_sha256)
        return hashlib.sha256("".join(hashes).encode()).hexdigest()


class AdapterPart(Part):
    """What the weights are."""

    type: Literal["lora"]
    r: int = Field(ge=1, le=256)
    alpha: float = Field(gt=0, le=65_536)
    rslora: bool
    targets: list[Projection] = Field(min_length=1, max_length=16)
    dtype: Literal["F32", "F16", "BF16"]
    tensors: int = Field(ge=2, le=8192)
    params: Count


class FilePart(Part):
    """A file, and how it is stored."""

    path: Literal["adapter_model.safetensors", "slot_config.json", "card.md", "metrics.json"]
    role: Literal["weights", "config", "card", "metrics"]
    raw_size: Size
    raw_sha256: Sha256
    blob: Sha256
    blob_size: Size
    codec: Literal["raw", "zstd", "stp1"]


# -- what is said of it -----------------------------------------------------------------------------------------------


class SampleTurn(Part):
    """A question that the publisher chose to show, and the replies of the base and of the slot."""

    prompt: Lines
    before: Lines
    after: Lines


class CardPart(Part):
    """What people read first."""

    title: str = Field(min_length=1, max_length=80, pattern=TITLE)
    summary: Line
    language: list[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]] = Field(max_length=16)
    tags: list[Tag] = Field(max_length=16)
    license: str = Field(
        pattern=r"^[A-Za-z0-9.+-]{1,64}( (AND|OR|WITH) [A-Za-z0-9.+-]{1,64}){0,8}$", description="SPDX."
    )
    samples: list[SampleTurn] = Field(max_length=8)
    system_prompt: Annotated[str, Field(max_length=8000, pattern=LINES)] | None = None
    warnings: list[Line] = Field(max_length=8)


class Gate(Part):
    """A measured yes or no."""

    name: str = Field(pattern=r"^[a-z0-9_.-]{1,60}$")
    passed: bool
    value: float
    limit: float


class MetricsPart(Part):
    """Figures by name, and which suite measured them."""

    suite: Word
    suite_sha256: Sha256
    values: Figures


class ScanPart(Part):
    """What a look at the weights found. ``review`` asks a person to look; nothing that is found proves harmlessness."""

    tool: Word
    version: Word
    verdict: Literal["nothing-found", "review"]
    stats: Figures


class GatePart(Part):
    """How the gates of the publisher's study ended."""

    suite_sha256: Sha256
    results: list[Gate] = Field(max_length=64)


class SafetyPart(Part):
    """What speaks for and against taking it."""

    scan: ScanPart
    gate: GatePart | None


class ParentPart(Part):
    """What it was blended from: a bundle, where it was one, and the weights in any case."""

    manifest: Sha256 | None
    adapter_sha256: Sha256
    weight: float
    method: Word


class ProvenancePart(Part):
    """How it was made."""

    trainer: Line
    version: Line = Field(description="Of the program.")
    steps: Count
    examples: Count
    data_note: Line
    seed: Count | None
    parents: list[ParentPart] = Field(max_length=64)


class Predicate(Part):
    """All that the publisher says."""

    format: Format
    requires: list[Word] = Field(max_length=16, description="What a reader must be able to do; version 1 knows none.")
    slot: SlotPart
    publisher: PublisherPart
    base: BasePart
    adapter: AdapterPart
    files: list[FilePart] = Field(min_length=2, max_length=8)
    card: CardPart
    metrics: MetricsPart
    safety: SafetyPart
    provenance: ProvenancePart


class Digest(Part):
    """Of a file's bytes as they are unpacked."""

    sha256: Sha256


class Subject(Part):
    """A file that the statement is about."""

    name: Literal["adapter_model.safetensors", "slot_config.json", "card.md", "metrics.json"]
    digest: Digest


class Manifest(Part):
    """The signed statement (in-toto Statement v1) about one version of a slot."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[Subject] = Field(min_length=2, max_length=8)
    predicate_type: Literal["urn:nightschool:slot-bundle:v1"] = Field(alias="predicateType")
    predicate: Predicate

    @property
    def slot(self) -> SlotPart:
        """Which slot and version."""
        return self.predicate.slot

    @property
    def publisher(self) -> PublisherPart:
        """Who signs."""
        return self.predicate.publisher

    @property
    def card(self) -> CardPart:
        """What people read first."""
        return self.predicate.card


# -- files in a bundle ------------------------------------------------------------------------------------------------


class SlotConfig(Part):
    """``slot_config.json``: what an adapter's configuration says, in ten fields, each with a closed set of values."""

    format: Format
    type: Literal["lora"]
    task: Literal["CAUSAL_LM"]
    r: int = Field(ge=1, le=256)
    alpha: float = Field(gt=0, le=65_536)
    rslora: bool
    bias: Literal["none"]
    dtype: Literal["F32", "F16", "BF16"]
    targets: list[Projection] = Field(min_length=1, max_length=16)
    layers: list[Annotated[int, Field(ge=0, le=9999)]] = Field(min_length=1, max_length=10_000)


class Metrics(Part):
    """``metrics.json``: every gate, and the training curve as (step, loss, kl)."""

    format: Format
    gates: list[Gate] = Field(max_length=64)
    curve: list[Annotated[list[float], Field(min_length=3, max_length=3)]] = Field(max_length=2000)


def json_schema() -> dict[str, Any]:
    """Return one JSON Schema for all three; ``schemas/bundle.schema.json`` holds it, and a test compares."""
    from pydantic.json_schema import models_json_schema

    _, schema = models_json_schema(
        [(record, "validation") for record in (Manifest, SlotConfig, Metrics)],
        title="Night School slot bundle, format 1",
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":  # python -m nightschool.schemas.bundle > schemas/bundle.schema.json
    json.dump(json_schema(), sys.stdout, indent=1)
    sys.stdout.write("\n")
