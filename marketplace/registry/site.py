"""A registry behind a web server: plain GET, and nothing believed that was not asked for.

The bytes of a body are taken as they come: a server that encodes them, although it was asked not to, could make
200 MB of 200 KB. Redirects are followed within the site alone. Plain http is allowed, since all that is read is signed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from ... import __version__
from ...schemas.errors import MarketError, UsageError
from ..refusals import refuse
from .source import Missing, bounded

MOST_REDIRECTS = 3
SLOWEST = 4096  # bytes a second, over a whole file
_GRACE = 20.0  # seconds that any file may take
_WAITING = httpx2.Timeout(20.0, connect=10.0)
_REDIRECTS = {301, 302, 303, 307, 308}


class Site:
    """A registry behind a web server."""

    def __init__(self, address: str, *, grace: float = _GRACE) -> None:
        """Prepare; nothing is sent.

        Raises:
            UsageError: If the address cannot be used.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError(f"{address} is no address of a registry; give a folder, or http(s)://host/path.")
        self.address = address.rstrip("/") + "/"
        self._grace = grace
        self._http: httpx2.Client | None = None

    def __enter__(self) -> Site:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def read(self, place: str, most: int) -> Iterator[bytes]:
        """Give a file a piece at a time.

        Raises:
            As ``Source.read``.
        """
        with self._in_our_words(), self._response(urljoin(self.address, quote(place))) as response:
            if response.status_code in (403, 404, 410):
                raise Missing(f"{self.address} has no {place}; tell who keeps it.")
            if response.status_code != 200:
                raise refuse("unreachable", f"{self.address} answers {response.status_code}")
            encoding = response.headers.get("content-encoding", "identity")
            if encoding.strip().lower() != "identity":
                raise refuse("content-encoding", place)
            said = response.headers.get("content-length", "")
            if said.isdecimal() and int(said) > most:
                raise refuse("too-long", f"{place} is longer than {most} bytes")
            yield from bounded(self._in_time(response.iter_raw()), most, place)

    @contextmanager
    def _response(self, address: str) -> Iterator[httpx2.Response]:
        """Give the answer to a GET, after redirects within the site."""
        if self._http is None:
            headers = {"accept-encoding": "identity", "user-agent": f"nightschool/{__version__}"}
            self._http = httpx2.Client(timeout=_WAITING, headers=headers, follow_redirects=False)
        for _ in range(MOST_REDIRECTS + 1):
            with self._http.stream("GET", address) as response:
                if response.status_code not in _REDIRECTS:
                    yield response
                    return
                address = self._within(address, response.headers.get("location", ""))
        raise refuse("redirect", "too often")

    def _within(self, address: str, location: str) -> str:
        """Return where a redirect leads."""
        target = urljoin(address, location)
        old, new = urlsplit(self.address), urlsplit(target)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            raise refuse("redirect", f"to {new.scheme}://{new.netloc}"[:100])
        return target

    def _in_time(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Give pieces while they come at a bearable pace."""
        begun, count = time.monotonic(), 0
        for piece in pieces:
            count += len(piece)
            if time.monotonic() - begun > self._grace + count / SLOWEST:
                raise refuse("unreachable", f"{self.address} sends too slowly")
            yield piece

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except (MarketError, Missing):
            raise
        except (httpx2.RequestError, httpx2.StreamError, httpx2.InvalidURL) as error:
            raise refuse("unreachable", f"{self.address}: {type(error).__name__}") from error
