"""A WebSocket on the asking side: what came is kept, whatever comes after it; what is none is refused."""

from __future__ import annotations

import httpcore2
import httpx2
import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from nightschool.engine.wire.sockets import Socket, SocketAnswer
from nightschool.schemas.errors import BadFrame


class Stream:
    """What a server sends, read by read."""

    def __init__(self, *reads):
        self.reads, self.written = list(reads), b""

    async def read(self, most, timeout=None):
        return self.reads.pop(0) if self.reads else b""

    async def write(self, data, timeout=None):
        self.written += data

    def get_extra_info(self, name):
        return False


def sent(*events):
    server = Connection(ConnectionType.SERVER)
    return b"".join(server.send(event) for event in events)


def socket(*reads):
    return Socket(httpx2.Response(101, extensions={"network_stream": Stream(*reads)}))


async def test_what_came_before_it_was_closed_is_kept():
    one = socket(sent(BytesMessage(data=b"rows"), CloseConnection(code=1012)))
    assert await one.read(1.0) == [b"rows"]
    assert one.has_news
    with pytest.raises(httpcore2.ReadError, match="1012"):
        await one.read(1.0)


async def test_parts_of_a_message_are_given_as_they_come():
    whole = sent(BytesMessage(data=b"abcdefgh"))
    one = socket(whole[:5], whole[5:])
    answer, found = SocketAnswer(one, 1.0), []
    async for piece in answer.pieces():
        found.append(piece)
        if piece.endswith(b"h"):
            answer.ends()
    assert b"".join(found) == b"abcdefgh"
    assert answer.is_whole


async def test_pings_are_answered_and_text_is_refused():
    one = socket(sent(Ping(payload=b"x")), sent(TextMessage(data="hello")))
    assert await one.read(1.0) == []
    assert one._stream.written
    with pytest.raises(BadFrame):
        await one.read(1.0)


async def test_noise_ends_it():
    one = socket(b"<html>" + bytes(20), sent(BytesMessage(data=b"rows")))
    assert await one.read(1.0) == []
    with pytest.raises(httpcore2.ReadError):
        await one.read(1.0)


async def test_a_connection_that_ends_is_told():
    with pytest.raises(httpcore2.ReadError, match="cut off"):
        await socket().read(1.0)
