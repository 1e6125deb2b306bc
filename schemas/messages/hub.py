"""Adapters from the Hugging Face hub, and versions to it."""

from __future__ import annotations

from pydantic import Field

from ..bundle import CardPart
from ..sharing import FetchedAdapter, Published
from .request import Request


class FetchAdapter(Request[FetchedAdapter]):
    """Fetch a PEFT LoRA, pinned to the commit it has now. Told: ``model.pull``. ``models.cancel`` stops it.

    ``spec`` is ``hub:owner/name`` or ``hub:owner/name@revision``; ``slots.import`` takes what comes of it.
    """

    method = "hub.fetch"
    spec: str


class PublishVersion(Request[Published]):
    """Put a version into a repository of the user's on the hub, as a PEFT adapter with a page of its own.

    It is audited first, as for a bundle; ``accepted`` are the findings that others may have. ``dry_run``: nothing is
    sent, and what comes back is all that would be. Told: ``model.pull``. ``models.cancel`` stops it.

    ``number`` None: the current one; ``base`` is the base's name on the hub, empty where it came from there;
    ``text`` a longer text for the page, in Markdown; ``message`` that of the commit.
    """

    method = "hub.publish"
    slot: str
    repository: str
    card: CardPart
    number: int | None = None
    text: str = Field(default="", max_length=65_536)
    base: str = ""
    message: str = Field(default="", max_length=200)
    private: bool = False
    accepted: list[str] = Field(default_factory=list)
    dry_run: bool = False
