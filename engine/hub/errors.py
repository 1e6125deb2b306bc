"""What goes wrong with an adapter on the hub, in our words; ``base/hub_trouble.py`` tells it apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...schemas.errors import ModelNotFound, NightSchoolError, NotFound, PeerRefused, Unauthorised, Unreachable
from ...schemas.errors import UsageError as Usage
from ..base.hub_trouble import Trouble, trouble_of

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_SAID: dict[Trouble, tuple[type[NightSchoolError], str]] = {
    Trouble.OFF: (Unreachable, "The hub is switched off (HF_HUB_OFFLINE), so {0} was not asked for; switch it on."),
    Trouble.AWAY: (Unreachable, "The hub cannot be reached for {0}; go online and do it again, it goes on from there."),
    Trouble.BUSY: (Unreachable, "The hub has no time for {0} now ({1}); do it again later."),
    Trouble.GATED: (Unauthorised, f"{{0}} asks for permission on the hub; accept its terms there, then {_LOG_IN}."),
    Trouble.TOKEN: (Unauthorised, f"The hub does not accept your token for {{0}}; {_LOG_IN}."),
    Trouble.FORBIDDEN: (Unauthorised, f"Your token may not do this with {{0}}; make one that may, then {_LOG_IN}."),
    Trouble.MISSING: (NotFound, f"There is no {{0}} on the hub, or it is private; check the name, or {_LOG_IN}."),
    Trouble.REVISION: (NotFound, "{0} has no such revision; name a branch, a tag or a commit of it."),
    Trouble.FILE: (NotFound, "{0} lacks a file that it listed; do it again."),
    Trouble.NAME: (Usage, "{0!r} cannot be a name on the hub; write owner/name."),
    Trouble.LARGE: (Usage, "{0} is more than the hub takes at once ({1}); make it smaller."),
    Trouble.CHANGED: (PeerRefused, "{0} was changed by somebody else meanwhile ({1}); do it again."),
    Trouble.REFUSED: (PeerRefused, "The hub refused it for {0}: {1}."),
}


@contextmanager
def adapter_errors(shown: str) -> Iterator[None]:
    """Turn what the hub and the network raise about the repository ``shown`` into ours, each with a way out.

    Raises:
        Unreachable, Unauthorised, NotFound, UsageError, PeerRefused: Which of them, ``_SAID`` says.
    """
    try:
        yield
    except ModelNotFound as error:  # of a download, which speaks of models
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise _ours(cause, shown) or Unreachable(str(error)) from error
    except NightSchoolError:
        raise
    except Exception as error:
        # An upload wraps what the network raised.
        cause = error.__cause__ if isinstance(error.__cause__, Exception) and trouble_of(error) is None else error
        ours = _ours(cause, shown)
        if ours is None:
            raise
        raise ours from error


def _ours(error: Exception, shown: str) -> NightSchoolError | None:
    trouble = trouble_of(error)
    if trouble is None:
        return None
    kind, words = _SAID[trouble]
    return kind(words.format(shown, _reason(error)))


def _reason(error: Exception) -> str:
    """Return what the server said, on one line and not at length."""
    said = getattr(error, "server_message", None) or str(error)
    return " ".join(said.split())[:200].rstrip(". ") or type(error).__name__
