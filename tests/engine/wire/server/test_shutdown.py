"""A server that is asked to stop says so, lets what runs end or tells it, and leaves."""

from __future__ import annotations

import threading

import httpx2

from nightschool.engine.wire import routes
from nightschool.engine.wire.bodies import decode_record
from nightschool.engine.wire.frames import Reader, Type
from nightschool.engine.wire.server import patient
from nightschool.schemas.hsp import Problem
from nightschool.tests.serving import running, tokens


def test_clients_are_told_before_it_leaves(folders, tmp_path):
    with running(folders("llama"), tmp_path) as server, httpx2.Client(base_url=server.url) as http:
        session = server.client().open()
        session.step(0, [1])
        server.server._loop.call_soon_threadsafe(server.server.drain)
        while (response := http.get(routes.HEALTH)).status_code == 200:
            pass
        assert (response.status_code, response.json()["code"]) == (503, "shutting_down")
        assert int(response.headers["retry-after"]) > 0
        response = http.post(routes.STEP.format(session=session.name), content=session.body(1, [2]))
        assert (response.status_code, response.json()["code"]) == (503, "shutting_down")
        server.thread.join(30)
        assert not server.thread.is_alive()


def test_a_step_that_runs_too_long_is_told(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(patient, "DRAIN_SECONDS", 0.1)
    with running(folders("llama"), tmp_path) as server:
        session = server.client().open()
        trunk = server.service._scheduler._trunks[2]
        whole, passes, go_on = trunk.extend_together, [], threading.Event()

        def slow(batch, caches):
            passes.append(len(batch))
            if len(passes) > 1:
                go_on.wait(30)
            return whole(batch, caches)

        monkeypatch.setattr(trunk, "extend_together", slow)
        monkeypatch.setattr(server.service._scheduler, "_chunk", lambda alone: 100)
        body = session.body(0, tokens(400))
        found = []
        with httpx2.stream("POST", f"{server.url}{routes.STEP.format(session=session.name)}", content=body) as answer:
            reader = Reader(lambda header: None)
            for piece in answer.iter_bytes():
                found += reader.feed(piece)
                if not server.service.stopping:
                    server.server._loop.call_soon_threadsafe(server.server.drain)
        go_on.set()
        assert [frame.header.type for frame in found] == [Type.ROWS, Type.ERROR]
        assert decode_record(found[-1], Problem).code == "shutting_down"
        server.thread.join(30)
        assert not server.thread.is_alive()


def test_a_step_that_ends_in_time_is_answered(folders, tmp_path, monkeypatch):
    with running(folders("llama"), tmp_path) as server:
        session = server.client().open()
        trunk = server.service._scheduler._trunks[2]
        whole = trunk.extend_together

        def slow(batch, caches):
            server.server._loop.call_soon_threadsafe(server.server.drain)
            while not server.service.stopping:
                pass
            return whole(batch, caches)

        monkeypatch.setattr(trunk, "extend_together", slow)
        assert len(session.step(0, tokens(20))) == 20
        server.thread.join(30)
        assert not server.thread.is_alive()
