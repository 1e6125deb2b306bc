"""The base card: what names a base model, whoever serves it (DESIGN 3.2)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Probe(BaseModel):
    """Reference next-token log-probabilities for one fixed token sequence.

    ``top_ids[t]`` and ``top_logprobs[t]`` (natural log, fp32) describe the distribution after ``tokens[: t + 1]``.
    """

    model_config = ConfigDict(frozen=True)

    tokens: list[int]
    top_ids: list[list[int]]
    top_logprobs: list[list[float]]


class BaseCard(BaseModel):
    """A base named by what it is, never by a path alone.

    ``fingerprint`` is the sha256 over the four hashes below, in this order, so that it follows the tensors, the
    tokenizer and the template, and not the files they happen to lie in.
    """

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    name: str
    family: str
    layers: int
    width: int
    vocabulary: int
    context: int
    config_hash: str
    tokenizer_hash: str
    template_hash: str
    tensors_hash: str
    end_of_turn: list[int] = Field(description="Token ids that end a reply.")
    probe: Probe
    source: str = Field(default="", description="Where the weights came from, in words; not part of the fingerprint.")
    licence: str = ""

    @property
    def short(self) -> str:
        """The first twelve digits of the fingerprint, for folder names and screens."""
        return self.fingerprint[:12]
