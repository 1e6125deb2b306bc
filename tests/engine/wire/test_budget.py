"""A budget of divergence: the cheapest codec within it, and what was measured is believed only of the same things."""

from types import SimpleNamespace

import pytest

from nightschool.engine.wire import budget
from nightschool.engine.wire.budget import cheapest, measured
from nightschool.schemas.hsp import CodecInfo, Compute
from nightschool.schemas.providers import CodecFound

CODECS = tuple(
    CodecFound(name=name, bits=bits, bytes_a_token=int(bits * 72), kl=kl, same_top=1.0)
    for name, bits, kl in (("f32", 32, 0.0), ("bf16", 16, 1.7e-5), ("f16s", 16, 5e-8), ("i8", 8, 7e-5), ("i4", 4, 0.03))
)


@pytest.mark.parametrize(
    ("nats", "name"), [(0.0, "f32"), (1e-7, "f16s"), (1e-4, "i8"), (7e-5, "i8"), (6.9e-5, "bf16"), (1.0, "i4")]
)
def test_the_cheapest_within_the_budget_is_taken(nats, name):
    assert cheapest(CODECS, nats) == name


def test_where_none_is_within_it_the_truest_is_taken():
    assert cheapest(CODECS[1:], 0.0) == "f16s"


@pytest.fixture
def asked(monkeypatch):
    """What was measured, in place of a server."""
    times = []

    async def measure(base, description, cut, connect):
        times.append(cut)
        return CODECS

    monkeypatch.setattr(budget, "measure_codecs", measure)
    return times


def server(numbers="fp32", names=tuple(codec.name for codec in CODECS)):
    compute = Compute(engine="x", numbers=numbers)
    return SimpleNamespace(compute=compute, codecs=[CodecInfo(name=name, bits=8) for name in names])


def base(fingerprint="a", numbers="fp32"):
    return SimpleNamespace(card=SimpleNamespace(fingerprint=fingerprint), numbers=numbers)


async def look(folder, *, of=None, at=None, cut=2, address="https://a"):
    return await measured(of or base(), cut, address, at or server(), connect=lambda name: None, folder=folder)


async def test_it_is_measured_once_and_anew_where_anything_differs(asked, tmp_path):
    assert await look(tmp_path / "new") == await look(tmp_path / "new") == CODECS
    assert len(asked) == 1
    for changes in (
        {"of": base("b")},
        {"of": base(numbers="int8")},
        {"at": server("int8")},
        {"at": server(names=("f32",))},
        {"cut": 3},
        {"address": "https://b"},
    ):
        before = len(asked)
        await look(tmp_path / "new", **changes)
        assert len(asked) == before + 1, changes


@pytest.mark.parametrize("spoilt", [b"", b"{}", b"[1]", b"\xff", b'[{"name": "f32"}]'])
async def test_what_does_not_read_is_measured_anew(asked, tmp_path, spoilt):
    await look(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(spoilt)
    assert await look(tmp_path) == CODECS
    assert len(asked) == 2


async def test_where_it_cannot_be_kept_it_is_used_all_the_same(asked, tmp_path):
    (tmp_path / "file").write_text("")
    assert await look(tmp_path / "file" / "x") == CODECS
