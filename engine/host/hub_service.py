"""Adapters from the Hugging Face hub, and versions to it: each in a process of its own, one at a time."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from ...schemas.errors import EngineError, GivesAway, RemoteError, UsageError, error_classes
from ...schemas.messages import AuditVersion, DescribeVersion, FetchAdapter, PublishVersion
from ...schemas.sharing import FetchedAdapter, Published, ShareBase
from ..base.catalog import DEFAULT
from ..child import run_child
from ..hub.card import card_text
from ..hub.fetch import parse
from ..hub.publish import Upload, check_repository, write_files
from .audit_service import AuditService
from .bundle_service import BundleService
from .fetching import Fetching
from .portability_service import FETCHED
from .pull import Told
from .rooms import Rooms, Tell

_CHILD = "nightschool.engine.host.hub_child"
_LOG = "hub.log"
_DEFAULT_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
_QUANTISED = "It learned on a 4-bit quantisation (Q4_1) of it, so that its figures may differ a little there."


class HubService:
    """Handlers of ``hub.*``."""

    def __init__(self, rooms: Rooms, bundles: BundleService, audits: AuditService, fetching: Fetching) -> None:
        self._rooms, self._bundles, self._audits, self._fetching = rooms, bundles, audits, fetching

    async def fetch(self, request: FetchAdapter, tell: Tell) -> FetchedAdapter:
        """Fetch an adapter; what a broken one left is gone on from.

        Raises:
            UsageError: If it is none that can be used.
            NotFound, Unauthorised, Unreachable, PeerRefused: If the hub does not give it.
            ModelDamaged: If what came is not what the hub says.
            ModelInUse, PullCancelled: As of a pull.
        """
        address = str(parse(request.spec))
        said = {"spec": address, "folder": str(self._rooms.home.cache / FETCHED)}
        return FetchedAdapter(**await self._fetching.do(address, lambda told: self._run("fetch", said, told), tell))

    async def publish(self, request: PublishVersion, tell: Tell) -> Published:
        """Put a version into a repository of the user's, or with ``dry_run`` say what it would be made of.

        Raises:
            UsageError: If it is the plain base, its base has no name on the hub, or the repository cannot be one.
            GivesAway: If the audit found something that was not accepted.
            Unauthorised, Unreachable, NotFound, PeerRefused, NotConfirmed: If the hub does not take it.
            ModelInUse, PullCancelled: As of a pull.
        """
        check_repository(request.repository)
        described = DescribeVersion(slot=request.slot, number=request.number)
        shared = await self._bundles.describe(described, tell)
        base, note = _base_on_the_hub(shared.base, request.base)
        audit = await self._audits.audit(AuditVersion(slot=request.slot, number=shared.number), tell)
        open_ = [finding.name for finding in audit.findings if finding.name not in request.accepted]
        if open_:
            raise GivesAway(
                f"This version could give away {len(open_)} of the user's own words ({', '.join(open_)}); have them "
                "forgotten, or accept each."
            )
        page = card_text(shared, request.card, request.text, repository=request.repository, base=base, note=note)
        with tempfile.TemporaryDirectory(prefix="nightschool-publish-") as folder:
            files = write_files(Path(shared.folder), Path(folder), page, base)
            planned = Published(
                repository=request.repository,
                number=shared.number,
                private=request.private,
                base=base,
                files=files,
                page=page,
            )
            if request.dry_run:
                return planned
            message = request.message or f"Generation {shared.number} of {shared.title}"
            what = Upload(request.repository, Path(folder), message, request.private)
            said = {**dataclasses.asdict(what), "folder": folder}
            done = await self._fetching.do(request.repository, lambda told: self._run("publish", said, told), tell)
        return planned.model_copy(update=done)

    async def _run(self, verb: str, said: dict[str, Any], tell: Told) -> dict[str, Any]:
        log = self._rooms.home.logs / _LOG
        ended = await run_child(_CHILD, (verb, json.dumps(said)), log, lambda p: tell(p["stage"], p["fraction"]))
        if "result" in ended.last:
            found: dict[str, Any] = ended.last["result"]
            return found
        if "error" in ended.last:
            error = ended.last["error"]
            raise error_classes().get(error["code"], RemoteError)(error["message"])
        raise EngineError(f"Speaking with the hub ended with code {ended.code} before it was done; {log} says more.")


def _base_on_the_hub(base: ShareBase, given: str) -> tuple[str, str]:
    """Return how the hub calls a base, and how the one that is here differs from that.

    Raises:
        UsageError: If nobody knows.
    """
    name = base.source.partition("@")[0]
    if given:
        check_repository(given)
        return given, ""
    if base.source == DEFAULT:
        return _DEFAULT_BASE, _QUANTISED
    try:
        check_repository(name)
    except UsageError as error:
        raise UsageError(
            f"{base.name} did not come from the hub, so its name there is not known; say which one it belongs to "
            "(--base-model owner/name)."
        ) from error
    return name, ""
