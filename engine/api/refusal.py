"""What the endpoint will not do, in the shape that OpenAI's clients understand."""

from __future__ import annotations

from typing import Any

from ...schemas.errors import (
    BaseMismatch,
    Busy,
    EngineLost,
    NightSchoolError,
    NotFound,
    PromptTooLong,
    UsageError,
)
from ...schemas.hsp import Code
from ..wire.server.refused import Refused


class Refusal(NightSchoolError):
    """A request that is answered with an error.

    Attributes:
        status: Of HTTP.
        code: One word of OpenAI's where it has one, else of ours.
        param: The parameter that is at fault, if any.
        retry_after: Seconds after which it may be tried again; None: nothing is said of that.
    """

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        kind = "rate_limit_error" if self.status == 429 else "invalid_request_error"
        kind = "server_error" if self.status >= 500 else kind
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


_KINDS: tuple[tuple[type[NightSchoolError], int, str, str | None], ...] = (
    (PromptTooLong, 400, "context_length_exceeded", "messages"),
    (BaseMismatch, 400, "model_not_usable", "model"),
    (NotFound, 404, "not_found", None),
    (UsageError, 400, "invalid_request", None),
)
"""Errors that are the caller's: status, code and parameter."""


def refusal_of(error: NightSchoolError) -> Refusal:
    """Return what a client is told of an error of ours."""
    words = str(error)
    match error:
        case Refusal():
            refusal = error
        case Refused():
            too_large = error.problem.code is Code.TOO_LARGE
            refusal = Refusal(413, "too_large", words) if too_large else Refusal(400, "invalid_request", words)
        case Busy():
            refusal = Refusal(409, "busy", words, retry_after=1)
        case EngineLost():
            refusal = Refusal(503, "engine_lost", "The engine is being started again; ask again.", retry_after=2)
        case _:
            known = (
                Refusal(status, code, words, param=at) for kind, status, code, at in _KINDS if isinstance(error, kind)
            )
            refusal = next(known, Refusal(500, type(error).__name__, words))
    return refusal


def shutting_down() -> Refusal:
    """Return what everybody is told once the endpoint has been asked to stop."""
    return Refusal(503, "shutting_down", "Night School is shutting down; ask again when it runs.", retry_after=5)
