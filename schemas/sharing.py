"""What the engine says of a version that shall be shared, and of one that came from others. No text of a lesson in it.

The marketplace makes bundles and takes them apart, the engine keeps versions: these records are all that passes
between.
"""

from __future__ import annotations

from pydantic import Field

from .records import Record, Study, Version

ON_HUB = "hub:"
"""How the address of an adapter on the Hugging Face hub begins, where a folder could be meant as well."""

ROUTED = "At home a router switches it on only where its lessons apply; here it has none, so it always speaks."
"""What others are told of a version that has one."""


class ShareGate(Record):
    """A gate's figure, without its words: these quote lessons."""

    name: str
    passed: bool
    value: float
    limit: float


class ShareParent(Record):
    """What a version was made of: how much of it, how, and the bundle that it came from, where it did."""

    adapter_sha256: str
    weight: float
    method: str
    bundle: str | None = None


class ShareBase(Record):
    """The base of a version, as its card says."""

    name: str
    source: str
    family: str
    width: int
    layers: int
    vocabulary: int
    config_hash: str
    tokenizer_hash: str
    template_hash: str
    tensors_hash: str


class Shareable(Record):
    """A version as others may know it: figures and hashes, never what was said or taught.

    Attributes:
        folder: With its adapter.
        routed: Whether a router tells where it speaks; a bundle does not carry that.
        curve: Of its training, as (step, loss, kl).
    """

    slot: str
    title: str
    number: int
    created: float
    folder: str
    base: ShareBase
    routed: bool = False
    trainer: str = ""
    steps: int = 0
    examples: int = 0
    gates: list[ShareGate] = Field(default_factory=list)
    curve: list[tuple[float, float, float]] = Field(default_factory=list)
    parents: list[ShareParent] = Field(default_factory=list)


class BundleTaken(Record):
    """A version that came in a bundle; it answers nobody until the user activates it.

    Attributes:
        slot: Where it is.
        version: None: it was refused.
        study: How it fared at the gates; None: they could not be run here, and ``note`` says why.
    """

    slot: str
    version: Version | None
    study: Study | None = None
    note: str = ""


class HubFile(Record):
    """A file of a repository on the hub."""

    name: str
    bytes: int
    sha256: str


class Published(Record):
    """A version as a repository on the Hugging Face hub; with an empty ``commit``, what it would be.

    Attributes:
        base: The base's name on the hub.
        files: All that it is made of.
        page: ``README.md``, which is one of them.
        url: Where it can be seen; empty: nowhere yet.
    """

    repository: str
    number: int
    private: bool
    base: str
    files: list[HubFile]
    page: str
    commit: str = ""
    url: str = ""


class FetchedAdapter(Record):
    """An adapter that was fetched from the hub. ``base`` and ``licence`` are what its card says, and decide nothing.

    Attributes:
        source: ``hub:owner/name@commit``.
        folder: With its two files.
    """

    source: str
    folder: str
    bytes: int
    base: str = ""
    licence: str = ""
