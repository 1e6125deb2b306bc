"""The trust store of a profile: publishers that were met, the newest of each of their slots, and what was revoked.

    trust/pins.json           publishers and incidents
    trust/revocations.json    what must not be used any more; it only grows, and the engine reads it too

Each file is replaced as a whole, under one lock. One that does not read is never taken for an empty one, and never
written over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ...engine.files import held, storage_errors, write_atomic
from ...schemas.errors import MarketError, NotFound, StorageError, UsageError
from ...schemas.records import BundleOrigin
from ...schemas.trust import REVOCATIONS, Revocation, RevocationFile, RevokedKind
from ..refusals import refuse
from .judging import Judgement, Offer, follow, judge, raised
from .publisher import Publisher
from .records import Incident, Pin, PinFile, Seen, State, Step

MOST_INCIDENTS = 200
_RECORDED = {"key-changed", "rotation", "rollback", "equivocation", "bad-signature", "threshold", "revoked"}

R = TypeVar("R", bound=BaseModel)


class TrustStore:
    """What one profile believes. Reading needs no lock."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Use ``folder``, which is made when something is first remembered."""
        self.folder = folder
        self._clock = clock

    # -- asking -------------------------------------------------------------------------------------------------------

    def pins(self) -> list[Pin]:
        """Return the publishers that were met, by name.

        Raises:
            Unchecked: ``cannot-check-trust``.
        """
        return sorted(self._pins().pins.values(), key=lambda pin: pin.name)

    def pin(self, name: str) -> Pin | None:
        """Return what is known of a publisher."""
        return self._pins().pins.get(name)

    def incidents(self) -> list[Incident]:
        """Return what was refused and is worth to be remembered, the newest first."""
        return self._pins().incidents[::-1]

    def revocations(self) -> RevocationFile:
        """Return what must not be used any more.

        Raises:
            Unchecked: ``cannot-check-revocation``.
        """
        return self._read(RevocationFile, REVOCATIONS, "cannot-check-revocation")

    def judge(self, offer: Offer) -> Judgement:
        """Return how a bundle stands, in a state and a sentence. Nothing is remembered, nothing raised for it.

        Raises:
            Unchecked: If what is needed for that does not read.
        """
        return judge(offer, self.pin(offer.origin.publisher), self.revocations())

    # -- deciding -----------------------------------------------------------------------------------------------------

    def check(self, offer: Offer, *, confirmed: str = "") -> None:
        """Accept a bundle, or raise and remember that; before anything of it is unpacked.

        Args:
            offer: What it is.
            confirmed: Fingerprint of a new publisher that the user has agreed to.

        Raises:
            Refused, Unchecked, NotConfirmed: By which rule it is not taken.
        """
        judgement = self.judge(offer)
        refusal = judgement.refusal
        if judgement.state is State.NEW and confirmed == offer.keys.fingerprint:
            refusal = None
        if refusal is not None:
            self.note(refusal, offer.origin.publisher)
            raise refusal

    def accept(self, offer: Offer, *, confirmed: str = "") -> Pin:
        """Remember a bundle that is taken: its publisher, if it is new, and that nothing older counts from now on.

        Raises:
            As ``check``, which is asked again under the lock.
        """
        with self._locked():
            self.check(offer, confirmed=confirmed)
            origin, file = offer.origin, self._pins()
            pin = file.pins.get(origin.publisher) or Pin(
                name=origin.publisher,
                steps=[Step.of(offer.keys)],
                first_seen=self._clock(),
                registry=offer.registry,
            )
            pin = pin.model_copy(update={"highest": {**pin.highest, origin.slot: Seen.of(origin)}})
            self._write(file, pin)
            return pin

    def remember(self, origins: Iterable[BundleOrigin]) -> None:
        """Let what is here count as taken: ``accept`` comes after a version is kept, and a kill may come between."""
        with self._locked():
            file = self._pins()
            pins = dict(file.pins)
            for origin in origins:
                if origin.publisher in pins:
                    pins[origin.publisher] = raised(pins[origin.publisher], origin)
            if pins != file.pins:
                self._save(file.model_copy(update={"pins": pins}))

    def meet(self, publisher: Publisher, *, confirmed: str = "", registry: str = "") -> Pin:
        """Follow a publisher's documents: pin it if it is new and confirmed, else take over its new keys.

        Raises:
            NotConfirmed: If it is new and ``confirmed`` is not its fingerprint.
            Refused: ``key-changed``, ``rollback`` or ``equivocation``, if they do not go on from what is known.
        """
        with self._locked():
            file = self._pins()
            known = file.pins.get(publisher.name)
            try:
                if known is None and confirmed != publisher.keys.fingerprint:
                    raise refuse("new-publisher", f"{publisher.name}: {publisher.keys.words}")
                pin = follow(known, publisher) or Pin(
                    name=publisher.name,
                    steps=[Step.of(step) for step in publisher.steps],
                    seq=publisher.seq,
                    first_seen=self._clock(),
                    registry=registry,
                )
            except MarketError as error:
                self.note(error, publisher.name)
                raise
            if pin != known:
                self._write(file, pin)
            self._learn(publisher)
            return pin

    def repin(self, publisher: Publisher, *, old_fingerprint: str) -> Pin:
        """Believe other documents of a publisher from now on, because the user says so and names the old keys.

        What was taken of it before still counts: nothing older is taken now either.

        Raises:
            NotFound: If it was never met.
            UsageError: If the old fingerprint is not the one that is pinned.
        """
        with self._locked():
            file = self._pins()
            known = file.pins.get(publisher.name)
            if known is None:
                raise NotFound(f"{publisher.name} is not pinned; list the publishers with `nightschool trust list`.")
            if old_fingerprint.lower().replace(" ", "") != known.keys.fingerprint:
                raise UsageError(
                    f"The old fingerprint of {publisher.name} is another; `nightschool trust list` shows it, to be "
                    "compared with what the publisher says."
                )
            steps = [Step.of(step) for step in publisher.steps]
            pin = known.model_copy(update={"steps": steps, "seq": publisher.seq})
            self._write(file, pin)
            self._learn(publisher)
            return pin

    def forget(self, publisher: str) -> None:
        """Forget a publisher: it is new again. What it or others revoked stays.

        Raises:
            NotFound: If it was never met.
        """
        with self._locked():
            file = self._pins()
            if publisher not in file.pins:
                raise NotFound(f"{publisher} is not pinned; list the publishers with `nightschool trust list`.")
            pins = {name: pin for name, pin in file.pins.items() if name != publisher}
            self._save(file.model_copy(update={"pins": pins}))

    def hold(self, publisher: str, slot: str, *, held: bool) -> Pin:
        """Say that a slot is not to be updated, or is again.

        Raises:
            NotFound: If the publisher was never met.
        """
        with self._locked():
            file = self._pins()
            pin = file.pins.get(publisher)
            if pin is None:
                raise NotFound(f"{publisher} is not pinned; list the publishers with `nightschool trust list`.")
            kept = sorted({*pin.hold, slot} if held else {*pin.hold} - {slot})
            pin = pin.model_copy(update={"hold": kept})
            self._write(file, pin)
            return pin

    def revoke(self, rows: Iterable[Revocation]) -> int:
        """Remember revocations; those that are known stay as they are. Return how many are new."""
        with self._locked():
            before = self.revocations()
            known = {(row.kind, row.id, row.publisher) for row in before.revocations}
            more = {(row.kind, row.id, row.publisher): row for row in rows}
            new = [row for key, row in more.items() if key not in known]
            if new or not (self.folder / REVOCATIONS).exists():
                after = before.model_copy(update={"revocations": (*before.revocations, *new)})
                write_atomic(self.folder / REVOCATIONS, after.model_dump_json(indent=1))
            return len(new)

    def note(self, error: MarketError, publisher: str) -> None:
        """Remember what was refused, if it is of a kind that honest people never cause."""
        if error.code not in _RECORDED:
            return
        with self._locked():
            file = self._pins()
            row = Incident(at=self._clock(), code=error.code, publisher=publisher, text=str(error))
            if file.incidents and file.incidents[-1].model_copy(update={"at": row.at}) == row:
                return
            self._save(file.model_copy(update={"incidents": [*file.incidents, row][-MOST_INCIDENTS:]}))

    # -- files --------------------------------------------------------------------------------------------------------

    def _learn(self, publisher: Publisher) -> None:
        """Take over what a publisher revoked of its own."""
        revoked = publisher.revocations
        if revoked is None:
            return
        by, now = f"publisher {publisher.name}", self._clock()
        kinds = ((RevokedKind.KEY, revoked.keys), (RevokedKind.BUNDLE, revoked.bundles))
        self.revoke(
            Revocation(kind=kind, id=row.id, reason=row.reason, by=by, publisher=publisher.name, seen=now)
            for kind, rows in kinds
            for row in rows
        )

    def _pins(self) -> PinFile:
        return self._read(PinFile, "pins.json", "cannot-check-trust")

    def _read(self, kind: type[R], name: str, code: str) -> R:
        path = self.folder / name
        try:
            with storage_errors(path):
                return kind.model_validate_json(path.read_bytes()) if path.exists() else kind()
        except (ValidationError, StorageError) as error:
            raise refuse(code, str(path)) from error

    def _write(self, file: PinFile, pin: Pin) -> None:
        self._save(file.model_copy(update={"pins": {**file.pins, pin.name: pin}}))

    def _save(self, file: PinFile) -> None:
        write_atomic(self.folder / "pins.json", file.model_dump_json(indent=1))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        busy = f"{self.folder} is being written by another Night School; wait for its end and try again."
        with held(self.folder / ".lock", busy, again=True):
            yield
