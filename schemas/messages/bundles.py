"""Versions given to others and taken from them."""

from __future__ import annotations

from ..records import BundleOrigin, ExportedAdapter
from ..sharing import BundleTaken, Shareable
from .request import Request


class DescribeVersion(Request[Shareable]):
    """Say of a version what others may know; ``number`` None: the current one."""

    method = "bundles.describe"
    slot: str
    number: int | None = None


class ConvertBundle(Request[ExportedAdapter]):
    """Write an adapter that came in a bundle as a GGUF LoRA with a Modelfile, into a new folder. No base is loaded.

    The bundle was checked before. ``folder`` is its PEFT folder, ``base`` the fingerprint of its base, which must be on
    this machine: its configuration says how llama.cpp lays out what the adapter changes.
    """

    method = "bundles.convert"
    folder: str
    base: str
    to: str
    system: str = ""


class TakeBundle(Request[BundleTaken]):
    """Keep an adapter that came in a bundle as a version of a slot that does not answer yet, if it passes the gates.

    The bundle was checked before. The gates are asked where its base is the one that is loaded. A slot that is not
    there is made; of one that is refused nothing stays but the report.

    ``folder`` is its PEFT folder, ``base`` the fingerprint of its base.
    """

    method = "bundles.take"
    folder: str
    base: str
    origin: BundleOrigin
    into: str
    title: str = ""
    system_prompt: str = ""
