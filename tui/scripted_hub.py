"""The Hugging Face hub of the scripted engine: what is fetched from it and published there."""

from __future__ import annotations

from collections.abc import Callable

from ..schemas import messages as ask
from ..schemas import records as rec
from ..schemas.events import Event, PullEvent
from ..schemas.sharing import FetchedAdapter, HubFile, Published

Tell = Callable[[Event], None]


class ScriptedHub:
    """The part of the scripted engine that speaks with the hub."""

    _slot: Callable[[str], rec.Slot]

    def __init__(self) -> None:
        self.published: list[ask.PublishVersion] = []
        """What went out."""

    async def _hub_fetch(self, request: ask.FetchAdapter, tell: Tell) -> FetchedAdapter:
        tell(PullEvent(spec=request.spec, stage="Fetching adapter_model.safetensors, 1 of 2 MB", fraction=0.5))
        source = f"{request.spec.partition('@')[0]}@{'0123456789' * 4}"
        return FetchedAdapter(source=source, folder="/fetched", bytes=2_000_000, base="owner/base", licence="mit")

    async def _hub_publish(self, request: ask.PublishVersion, tell: Tell) -> Published:
        page = f"# {request.card.title}\n"
        planned = Published(
            repository=request.repository,
            number=request.number or self._slot(request.slot).current or 1,
            private=request.private,
            base=request.base or "owner/base",
            files=[HubFile(name="README.md", bytes=len(page), sha256="ab" * 32)],
            page=page,
        )
        if request.dry_run:
            return planned
        tell(PullEvent(spec=request.repository, stage="Uploading, 1.0 of 2.0 MB", fraction=0.5))
        self.published.append(request)
        url = f"https://huggingface.co/{request.repository}"
        return planned.model_copy(update={"commit": "0123456789" * 4, "url": url})
