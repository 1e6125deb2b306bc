"""What a server gives of its base: the tail, its list and its files, to whom it may; nothing else of its machine."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading

import pytest
from safetensors import safe_open

from nightschool.engine.base.tensor_list import TENSORS, hash_of, size_of
from nightschool.engine.wire import routes
from nightschool.engine.wire.server.allowance import Allowance
from nightschool.engine.wire.server.tails import Body
from nightschool.schemas.cards import BaseCard
from nightschool.schemas.hsp import Contents, Problem
from nightschool.tests.serving import running

NAME = "model.layers.3.mlp.down_proj.weight"


def get(server, path, key="", **headers):
    return server.client(key).http.get(path, headers=headers)


def contents(server):
    return Contents.model_validate_json(get(server, routes.CONTENTS).content)


def tensor(server, name=NAME, **headers):
    return get(server, routes.TENSOR.format(name=name), **headers)


def problem(response):
    return Problem.model_validate_json(response.content)


def test_the_list_is_that_of_the_fingerprint_and_its_files_and_tensors_come_as_it_says(server):
    said = contents(server)
    card = server.base.card
    assert (said.fingerprint, said.upper, said.tied) == (card.fingerprint, 2, False)
    assert hash_of(said.tensors) == card.tensors_hash
    assert "tail" in server.client().describe().verbs
    for file in said.files:
        data = get(server, routes.FILE.format(name=file.name)).content
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)
    assert {"config.json", "tokenizer.json", "card.json"} <= {file.name for file in said.files}
    entries = {entry.name: entry for entry in said.tensors}
    with safe_open(server.base.folder / "model.safetensors", framework="np") as shard:
        assert set(entries) == set(shard.keys())
    for name in (NAME, "lm_head.weight", "model.norm.weight"):
        data = tensor(server, name).content
        assert len(data) == size_of(entries[name].dtype, entries[name].shape)
        assert hashlib.sha256(data).hexdigest() == entries[name].sha256
    assert '"nightschool_sent_bytes_total' not in str(server.lines()), "the journal holds metrics"


def test_a_part_of_a_tensor_can_be_asked_for(server):
    whole = tensor(server).content
    for said, first, stop in (
        ("bytes=100-", 100, len(whole)),
        ("bytes=0-9", 0, 10),
        ("bytes=7-999999999", 7, len(whole)),
    ):
        response = tensor(server, range=said)
        assert response.status_code == 206 and response.content == whole[first:stop]
        assert response.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(whole)}"
    assert tensor(server, range=f"bytes=0-{len(whole) - 1}").status_code == 200


@pytest.mark.parametrize(
    "said",
    ["bytes=999999999-", "bytes=9-3", "bytes=-5", "bytes=0-1,4-5", "lines=1-", "bytes=", "x" * 999],
)
def test_a_range_that_is_none_is_refused(server, said):
    response = tensor(server, range=said)
    assert (response.status_code, problem(response).code) == (400, "bad_request")


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.mlp.down_proj.weight", "model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight", "x"],
)
def test_of_the_trunk_nothing_is_given(server, name):
    response = tensor(server, name)
    assert (response.status_code, problem(response).code, problem(response).limit) == (422, "not_offered", 2)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "nightschool.json",
        TENSORS,
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "config.json%00",
        "speed.json",
    ],
)
def test_no_other_file_of_the_machine_is_given(server, name):
    response = get(server, routes.FILE.format(name=name))
    assert response.status_code in {404, 422}
    assert problem(response).code in {"bad_request", "not_offered"}


def test_where_its_files_lie_is_not_told(server):
    card = BaseCard.model_validate_json(get(server, routes.FILE.format(name="card.json")).content)
    assert card == server.base.card.model_copy(update={"source": ""})


def test_a_key_may_get_no_tail_or_so_much_at_once(folders, tmp_path, monkeypatch):
    held, go_on, send = threading.Event(), threading.Event(), Body.pieces

    async def slowly(body, first, stop):
        async for piece in send(body, first, stop):
            held.set()

            await asyncio.to_thread(go_on.wait, 20)
            yield piece

    keys = {"one": Allowance(tails=1), "two": Allowance(), "none": Allowance(tails=0)}
    with running(folders("llama"), tmp_path, keys=keys) as server:
        assert get(server, routes.CONTENTS).status_code == 401
        assert "tail" not in server.client("none").describe().verbs
        for path in (routes.CONTENTS, routes.TENSOR.format(name=NAME), routes.FILE.format(name="config.json")):
            assert problem(get(server, path, "none")).code == "not_offered"
        monkeypatch.setattr(Body, "pieces", slowly)
        path = routes.TENSOR.format(name=NAME)
        first = threading.Thread(target=lambda: get(server, path, "one"))
        first.start()
        assert held.wait(20)
        refused = get(server, path, "one")
        assert (refused.status_code, problem(refused).code) == (429, "too_many")
        assert int(refused.headers["retry-after"]) >= 1
        go_on.set()
        first.join(20)
        assert get(server, path, "one").status_code == 200
        assert get(server, path, "two").status_code == 200


def test_the_list_is_made_once_and_kept_beside_the_weights(folders, tmp_path, monkeypatch):
    folder = shutil.copytree(folders("llama"), tmp_path / "base")
    (folder / TENSORS).unlink(missing_ok=True)
    with running(folder, tmp_path) as server:
        first = contents(server)
    assert (folder / TENSORS).is_file()
    monkeypatch.setattr("nightschool.engine.base.tensor_list.list_tensors", lambda *_, **__: pytest.fail("made again"))
    with running(folder, tmp_path) as server:
        assert contents(server) == first


def test_a_list_that_was_spoilt_is_made_again(folders, tmp_path):
    folder = shutil.copytree(folders("llama"), tmp_path / "base")
    for spoilt in ("[]", "{", "null"):
        (folder / TENSORS).write_text(spoilt)
        with running(folder, tmp_path) as server:
            assert hash_of(contents(server).tensors) == server.base.card.tensors_hash


def test_weights_that_changed_under_the_server_are_not_given(folders, tmp_path):
    folder = shutil.copytree(folders("llama"), tmp_path / "base")
    (folder / TENSORS).unlink(missing_ok=True)
    with running(folder, tmp_path) as server:
        data = bytearray((folder / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (folder / "model.safetensors").write_bytes(data)
        response = get(server, routes.CONTENTS)
    assert (response.status_code, problem(response).code) == (500, "internal")
    assert str(tmp_path) not in response.text
