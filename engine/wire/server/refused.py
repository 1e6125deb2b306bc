"""What the server will not do, as the client hears it."""

from __future__ import annotations

import math

from ....schemas.errors import NightSchoolError
from ....schemas.hsp import STATUS, Code, Problem


class Refused(NightSchoolError):
    """A request that is answered with a problem; the message never repeats tokens."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        have: int | None = None,
        hash: str | None = None,
        retry_after: float | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(message)
        self.problem = Problem(code=code, message=message, have=have, hash=hash, retry_after=retry_after, limit=limit)

    @property
    def status(self) -> int:
        """Of HTTP."""
        return STATUS[self.problem.code]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """That HTTP has for it; whole seconds, as its grammar wants them."""
        if self.problem.retry_after is None:
            return []
        return [(b"retry-after", str(math.ceil(self.problem.retry_after)).encode())]


def shutting_down() -> Refused:
    """Return what everybody is told once the server has been asked to stop."""
    return Refused(Code.SHUTTING_DOWN, "The server is shutting down; go on with another, or later.", retry_after=5.0)
