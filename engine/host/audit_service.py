"""What a version could give away of the user who taught it, before it is given to anybody."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from ...schemas.audit import Audit
from ...schemas.errors import StudyRunning, UsageError
from ...schemas.events import AuditEvent
from ...schemas.messages import AuditVersion
from ...schemas.records import Lesson
from ..files import storage_errors, write_atomic
from ..settings import read_settings
from .rooms import Rooms, Tell
from .study_service import StudyService


class AuditService:
    """The handler of ``versions.audit``."""

    def __init__(self, rooms: Rooms, studies: StudyService) -> None:
        self._rooms, self._studies = rooms, studies
        self._one = asyncio.Lock()

    async def audit(self, request: AuditVersion, tell: Tell) -> Audit:
        """Look for the user's own rare words in what a version says.

        Raises:
            NotFound: If there is no such slot or version.
            UsageError: If it is the plain base.
            StudyRunning: If a study is under way: both at once would take too long.
            BaseMismatch: If it was learned on another base than the one that is loaded.
            EngineError: If it could not be carried out.
        """
        from ..study.rare import rare_strings
        from ..study.runner import Progress, StudyJob, run_audit

        rooms = self._rooms
        store, number = rooms.store, request.number
        version = store.current(request.slot) if number is None else store.version(request.slot, number)
        folder = rooms.store.adapter_folder(request.slot, version.number)
        if folder is None:
            raise UsageError(f"Generation {version.number} of slot {request.slot} is the plain base: it knows nothing.")
        lessons = [rooms.records.lesson(number) for number in version.lessons]
        if not rare_strings(lessons):  # no base is needed to know that
            return Audit(slot=request.slot, number=version.number, strings=0, replies=0)
        kept = self._file(version.adapter_sha256 or "", lessons)
        if (known := _read(kept)) is not None:
            return known
        if self._studies.studying:
            raise StudyRunning("A study is under way; wait for its end, then look again.")
        model = await rooms.model.model()
        rooms.check_base(request.slot, version, model.base.card)
        placed, numbers = await asyncio.to_thread(model.place_study, rooms.home)

        def told(progress: Progress) -> None:
            tell(AuditEvent(stage=progress.stage, fraction=progress.fraction))

        async with self._one:
            work = Path(tempfile.mkdtemp(prefix="nightschool-audit-"))
            try:
                job = StudyJob(
                    study=version.number,
                    slot=request.slot,
                    folder=work,
                    base=model.base.folder,
                    cut=model.cut,
                    numbers=numbers,
                    device=placed.device.name,
                    elsewhere=read_settings(rooms.home).study_provider,
                    lessons=[],
                    known=lessons,
                    adapter=folder,
                    system=rooms.store.slot(request.slot).system_prompt,
                    cache=rooms.home.cache,
                )
                found = await run_audit(job, told, rooms.pace)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        with storage_errors(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, found.model_dump_json())
        return found

    def _file(self, adapter: str, lessons: list[Lesson]) -> Path:
        words = [adapter, *(lesson.model_dump_json(include={"id", "rule", "steps", "evidence"}) for lesson in lessons)]
        return self._rooms.home.cache / "audits" / f"{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:24]}.json"


def _read(file: Path) -> Audit | None:
    with suppress(OSError, ValidationError):  # a cache that does not read back is computed again
        return Audit.model_validate_json(file.read_bytes())
    return None
