"""Tries again at once, then with growing pauses; not what cannot succeed, and not longer than a server asks for."""

import random

import pytest

from nightschool.engine.wire.patience import Patience
from nightschool.schemas.errors import BadFrame, PeerRefused, Unauthorised, Unreachable
from nightschool.schemas.hsp import Code, Problem


def refused(code, retry_after=None):
    return PeerRefused("no", Problem(code=code, retry_after=retry_after))


async def pauses(error, tries=6, **options):
    """Return the pauses until it is given up."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    patience = Patience(tries=tries, sleep=sleep, random=random.Random(3), **options)
    for failed in range(1, 100):
        try:
            await patience.wait(failed, error)
        except type(error) as final:
            assert final is error
            return slept
    raise AssertionError("it is never given up")


async def test_pauses_grow_up_to_the_longest():
    first, *rest = await pauses(Unreachable("gone"), tries=10, pause=0.2, longest=2)
    assert first == 0
    for pause, middle in zip(rest, (0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2), strict=True):
        assert middle / 2 <= pause <= middle * 1.5
    assert len(set(rest)) == len(rest)


@pytest.mark.parametrize(
    "error",
    [
        Unauthorised("no"),
        PeerRefused("no"),
        *(refused(code) for code in (Code.WRONG_BASE, Code.TOO_LONG, Code.BAD_REQUEST)),
    ],
)
async def test_what_cannot_succeed_is_not_tried_again(error):
    assert await pauses(error) == []


@pytest.mark.parametrize("error", [BadFrame("damaged"), refused(Code.BUSY), refused(Code.INTERNAL)])
async def test_what_may_succeed_is_tried_as_often_as_is_said(error):
    assert len(await pauses(error, tries=4)) == 3


async def test_a_server_says_how_long_to_wait_within_reason():
    assert all(3 <= pause <= 3 + 15 for pause in await pauses(refused(Code.CACHE_FULL, 3)))
    assert await pauses(refused(Code.CACHE_FULL, 11)) == []
