"""A Hugging Face hub of one model, served over real HTTP on this machine: what tests ask instead of the real one.

with FakeHub(folder) as hub:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)  # here; HF_ENDPOINT in a process
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 4096


class FakeHub:
    """Serves the files of a folder as the model ``owner/tiny``; what it does wrong is set by its attributes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = "owner/tiny"
        self.licence = "mit"
        self.others = ["original/model.safetensors", "consolidated.safetensors", "evil.py"]
        """Names that are listed and must not be asked for."""
        self.break_at: int | None = None
        """Byte of the weights at which a connection is closed."""
        self.breaks = 1000
        """How often it is."""
        self.pause = 0.0
        """Seconds before each piece."""
        self.gated = False
        self.ranges = True
        """Whether a part of a file can be asked for."""
        self.lie: dict[str, Any] = {}
        """What is said of the weights in place of the truth."""
        self.got: list[tuple[str, int]] = []
        """Files that were asked for, and from which byte on."""
        self.parts: list[tuple[str, int, int]] = []
        """The same, with where the part ends."""
        self.sent = 0
        """Bytes of weights."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Any) -> None:
        path = unquote(urlsplit(request.path).path)
        if re.fullmatch(rf"/api/models/{self.name}(/revision/(main|{COMMIT}))?", path):
            self._send(request, 200, json.dumps(self._info()).encode(), {"Content-Type": "application/json"})
        elif (found := re.fullmatch(rf"/{self.name}/resolve/{COMMIT}/(.+)", path)) is None:
            self._send(request, 404, b"", {"X-Error-Code": "RepoNotFound"})
        elif self.gated:
            self._send(request, 401, b"", {"X-Error-Code": "GatedRepo"})
        else:
            self._file(request, found[1])

    def _info(self) -> dict[str, Any]:
        files = [self._entry(path) for path in sorted(self.folder.iterdir())]
        files += [{"rfilename": name, "size": 10**9} for name in self.others]
        card = {"license": self.licence}
        return {"id": self.name, "modelId": self.name, "sha": COMMIT, "siblings": files, "cardData": card, "tags": []}

    def _entry(self, path: Path) -> dict[str, Any]:
        entry: dict[str, Any] = {"rfilename": path.name, "size": path.stat().st_size}
        if path.suffix == ".safetensors":
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": path.stat().st_size, "pointerSize": 130} | self.lie
        return entry

    def _file(self, request: Any, name: str) -> None:
        data = (self.folder / name).read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)?", request.headers.get("Range", ""))
        if not self.ranges:
            asked = None
        first = int(asked[1]) if asked else 0
        stop = int(asked[2]) + 1 if asked and asked[2] else len(data)
        self.got.append((name, first))
        self.parts.append((name, first, stop))
        headers = {"Content-Range": f"bytes {first}-{stop - 1}/{len(data)}"} if asked else {}
        place = first if name.endswith(".safetensors") else -1
        self._send(request, 206 if asked else 200, data[first:stop], headers, place)

    def _send(self, request: Any, status: int, body: bytes, headers: dict[str, str], first: int = -1) -> None:
        request.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(key, value)
        request.end_headers()
        for place in range(0, len(body), CHUNK):
            if first >= 0:
                time.sleep(self.pause)
                if self.break_at is not None and self.breaks and self.break_at <= first + place:
                    self.breaks -= 1
                    request.close_connection = True
                    return
                self.sent += len(body[place : place + CHUNK])
            try:
                request.wfile.write(body[place : place + CHUNK])
            except OSError:  # whoever asked is gone
                request.close_connection = True
                return
