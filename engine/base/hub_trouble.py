"""What goes wrong between here and the Hugging Face hub, told apart: each kind has another way out.

The library's errors come from several trees, and 401 stands for a wrong token as well as for a name that nobody has.
"""

from __future__ import annotations

from enum import Enum, auto


class Trouble(Enum):
    """Why the hub did not do what was asked."""

    OFF = auto()
    """The user switched it off (``HF_HUB_OFFLINE``)."""
    AWAY = auto()
    """It cannot be reached."""
    BUSY = auto()
    """It answers, and asks to come back later."""
    GATED = auto()
    """Its owner asks for terms to be accepted."""
    TOKEN = auto()
    """The token is wrong or has ended."""
    FORBIDDEN = auto()
    """The token is right and may not do this."""
    MISSING = auto()
    """There is none of this name, or none that this token may see."""
    REVISION = auto()
    """It has no such revision."""
    FILE = auto()
    """It has no such file."""
    NAME = auto()
    """It cannot be a name."""
    LARGE = auto()
    """More was sent than it takes."""
    CHANGED = auto()
    """Somebody else changed it meanwhile."""
    REFUSED = auto()
    """Anything else that it says no to."""


_BY_STATUS = {
    401: Trouble.TOKEN,
    403: Trouble.FORBIDDEN,
    404: Trouble.MISSING,
    409: Trouble.CHANGED,
    412: Trouble.CHANGED,
    413: Trouble.LARGE,
    429: Trouble.BUSY,
}


def trouble_of(error: Exception) -> Trouble | None:
    """Return what an error of the hub's library or of the network means; None: it is neither's."""
    from httpx2 import HTTPError
    from huggingface_hub import errors

    kinds = (
        (errors.OfflineModeIsEnabled, Trouble.OFF),
        (errors.GatedRepoError, Trouble.GATED),
        (errors.RepositoryNotFoundError, Trouble.MISSING),
        (errors.RevisionNotFoundError, Trouble.REVISION),
        (errors.EntryNotFoundError, Trouble.FILE),
        (errors.HFValidationError, Trouble.NAME),
        (errors.LocalTokenNotFoundError, Trouble.TOKEN),
    )
    for kind, trouble in kinds:
        if isinstance(error, kind):
            return trouble
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code if error.response is not None else 0
        return Trouble.BUSY if status >= 500 else _BY_STATUS.get(status, Trouble.REFUSED)
    return Trouble.AWAY if isinstance(error, HTTPError) else None
