"""A Hugging Face hub that repositories can be put into and taken out of, over real HTTP on this machine.

It speaks what the library's client asks of the real one for that: making a repository, the look at a page's head, which
way each file goes, the LFS batch, uploads, commits as lines of JSON, what a repository holds, and files by commit, also
from a byte on. What it does wrong is set by its attributes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

TOKEN = "hf_publisher"
READER = "hf_reader"


@dataclass
class Repo:
    """Commits, each with all files by name; ``private``: seen with a token alone."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    gated: bool = False

    @property
    def head(self) -> str:
        return [*self.commits][-1]


class HubRepos:
    """Repositories by name; whoever brings ``TOKEN`` may write, ``READER`` may read."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.puts: list[str] = []
        """Blobs that were sent, by their hash."""
        self.got: list[tuple[str, str, int]] = []
        """Files that were asked for: commit, name, and from which byte on."""
        self.yaml_errors: list[str] = []
        self.fail: dict[str, int] = {}
        """Status by the start of ``METHOD path``, once each."""
        self.break_at: int | None = None
        """Byte of weights at which a download breaks off, once."""
        self.pause = 0.0
        """Seconds before each piece of a file."""
        self._server: uvicorn.Server | None = None

    def __enter__(self) -> HubRepos:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "HEAD", "POST", "PUT"])])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def add(self, name: str, files: dict[str, bytes], **repo: Any) -> str:
        """Put a repository there and return its commit."""
        self.repos[name] = Repo(**repo)
        return self._commit(name, files, "by hand")

    # -- answers ------------------------------------------------------------------------------------------------------

    async def _answer(self, request: Any) -> Response:
        path = "/" + request.path_params["path"]
        asked = f"{request.method} {path}"
        for begin in [begin for begin in self.fail if asked.startswith(begin)]:
            status = self.fail.pop(begin)
            return JSONResponse({"error": f"said no ({status})"}, status)
        body = await request.body()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in ("", TOKEN, READER):
            headers = {"X-Error-Message": "Invalid credentials in Authorization header"}
            return JSONResponse({"error": "Invalid credentials"}, 401, headers)
        if request.method == "PUT":
            return self._put(path, body)
        if request.method == "POST":
            return self._post(path, body, token)
        return self._get(path, request, token)

    def _post(self, path: str, body: bytes, token: str) -> Response:
        if path == "/api/validate-yaml":
            errors = [{"message": words} for words in self.yaml_errors]
            return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)
        if path == "/verify":
            return JSONResponse({})
        if token != TOKEN:
            return JSONResponse({"error": "Forbidden"}, 403 if token else 401)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            return self._preupload(found[1], json.loads(body))
        if found := re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body))
        if found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            return self._take_commit(found[1], body)
        return JSONResponse({"error": path}, 404)

    def _create(self, said: dict[str, Any]) -> Response:
        name = f"{said['organization']}/{said['name']}"
        url = {"url": f"{self.address}/{name}"}
        if name in self.repos:
            return JSONResponse({**url, "error": "You already created this model repo"}, 409)
        self.repos[name] = Repo(private=said.get("visibility") == "private")
        self._commit(name, {".gitattributes": b"*.safetensors filter=lfs"}, "initial commit")
        return JSONResponse(url)

    def _preupload(self, name: str, said: dict[str, Any]) -> Response:
        held = self.repos[name].commits[self.repos[name].head]
        rows = []
        for file in said["files"]:
            large = file["path"].endswith(".safetensors")
            there = held.get(file["path"])
            oid = None if there is None else hashlib.sha256(there).hexdigest() if large else _git_hash(there)
            mode = "lfs" if large else "regular"
            rows.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return JSONResponse({"files": rows})

    def _batch(self, said: dict[str, Any]) -> Response:
        assert "basic" in said["transfers"]
        rows = []
        for one in said["objects"]:
            row = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.blobs:
                upload = {"href": f"{self.address}/blobs/{one['oid']}", "header": {}}
                row["actions"] = {"upload": upload, "verify": {"href": f"{self.address}/verify"}}
            rows.append(row)
        return JSONResponse({"transfer": "basic", "objects": rows})

    def _put(self, path: str, body: bytes) -> Response:
        oid = path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.blobs[oid] = body
        self.puts.append(oid)
        return Response(status_code=200)

    def _take_commit(self, name: str, body: bytes) -> Response:
        files, message = {}, ""
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "lfsFile"
                files[value["path"]] = self.blobs[value["oid"]]
        commit = self._commit(name, files, message)
        url = f"{self.address}/{name}/commit/{commit}"
        return JSONResponse({"commitUrl": url, "commitOid": commit, "pullRequestUrl": None})

    def _get(self, path: str, request: Any, token: str) -> Response:
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self._info(found[1], found[2] or "main", token)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", path):
            return self._file(*found.groups(), request, token)
        return JSONResponse({"error": path}, 404)

    def _info(self, name: str, revision: str, token: str) -> Response:
        repo = self.repos.get(name)
        if repo is None or (repo.private and not token):
            return JSONResponse({}, 401 if not token else 404, {"X-Error-Code": "RepoNotFound"})
        commit = repo.head if revision == "main" else revision
        if commit not in repo.commits:
            return JSONResponse({}, 404, {"X-Error-Code": "RevisionNotFound"})
        files = [_entry(name, data) for name, data in repo.commits[commit].items()]
        info = {"id": name, "modelId": name, "sha": commit, "siblings": files, "private": repo.private, "tags": []}
        return JSONResponse({**info, "cardData": _card(repo.commits[commit].get("README.md", b""))})

    def _file(self, name: str, commit: str, file: str, request: Any, token: str) -> Response:
        repo = self.repos[name]
        if repo.gated and not token:
            return JSONResponse({}, 401, {"X-Error-Code": "GatedRepo"})
        data = repo.commits[commit][file]
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        first = int(asked[1]) if asked else 0
        self.got.append((commit, file, first))
        part = data[first:]
        headers = {"Content-Length": str(len(part))}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        pieces = self._pieces(part, file, first)
        return StreamingResponse(pieces, 206 if asked else 200, headers)

    async def _pieces(self, part: bytes, file: str, first: int) -> Any:
        import asyncio

        for place in range(0, len(part), 4096):
            await asyncio.sleep(self.pause)
            stop = self.break_at
            if file.endswith(".safetensors") and stop is not None and first + place >= stop:
                self.break_at = None
                raise ConnectionError("broken off")
            yield part[place : place + 4096]

    def _commit(self, name: str, files: dict[str, bytes], message: str) -> str:
        repo = self.repos[name]
        whole = {**(repo.commits[repo.head] if repo.commits else {}), **files}
        commit = hashlib.sha1(f"{name} {len(repo.commits)} {time.time()}".encode()).hexdigest()
        repo.commits[commit] = whole
        repo.messages.append(message)
        return commit


def _entry(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": name, "size": len(data)}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _card(page: bytes) -> dict[str, Any]:
    import yaml

    found = re.match(r"---\n(.*?)\n---\n", page.decode(), re.DOTALL)
    return yaml.safe_load(found[1]) if found else {}


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
