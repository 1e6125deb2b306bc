"""A study whose trunk is a server's: it learns what it would have learned here, and says so when the server is gone."""

import asyncio

import pytest
import torch

from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.paths import Home
from nightschool.engine.settings import ServerSettings
from nightschool.engine.slots.adapter import Adapter, Factors, attach, new_adapter
from nightschool.engine.study.cut_base import open_cut
from nightschool.engine.study.generate import NearWriter
from nightschool.engine.study.study import CANDIDATE, study
from nightschool.engine.wire.named import add_provider
from nightschool.schemas.errors import BaseMismatch, RemoteError
from nightschool.schemas.records import StudyState
from nightschool.tests.engine.study.small import LENIENT
from nightschool.tests.serving import CUT, running, tokens
from nightschool.tests.tails import save_tail
from nightschool.tests.tiny import save_tiny

PROMPTS = [tokens(length, seed=length) for length in (3, 9, 1, 17, 4)]


@pytest.fixture
def far(tiny_study_base, tmp_path, job, monkeypatch):
    """A server, and the job of a study that it is the trunk of."""
    monkeypatch.setenv("NIGHTSCHOOL_HOME", str(tmp_path / "home"))
    with running(tiny_study_base, tmp_path) as server:
        add_provider(Home(tmp_path / "home"), "box", ServerSettings(url=server.url, codec="f32"))
        yield server, job.model_copy(update={"elsewhere": ("box",), "folder": tmp_path / "far"})


def loud(tail):
    """An adapter that disagrees with the base now and then."""
    generator = torch.Generator().manual_seed(1)
    fresh = new_adapter(tail, 4).factors.items()
    return Adapter({place: Factors(f.down, torch.randn(f.up.shape, generator=generator) * 0.3) for place, f in fresh})


@pytest.mark.parametrize("adapted", [False, True])
def test_replies_are_those_that_are_written_here(far, plugins, adapted):
    server, job = far
    with open_cut(job, plugins) as whole:
        if adapted:
            attach(whole.tail, loud(whole.tail))
        told = []
        found = whole.writer.write(PROMPTS, limit=12, tell=told.append)
        tail = open_tail(server.base, CUT)
        attach(tail, loud(tail) if adapted else None)
        near = NearWriter(open_trunk(server.base, CUT), tail, server.base.card.end_of_turn)
        assert found == near.write(PROMPTS, limit=12)
        assert told == sorted(told)
        assert told[-1] == 1.0
        plain = NearWriter(open_trunk(server.base, CUT), open_tail(server.base, CUT), server.base.card.end_of_turn)
        assert (found == plain.write(PROMPTS, limit=12)) is not adapted


def test_a_study_learns_what_it_would_have_learned_here(far, plugins, job):
    _, elsewhere = far
    here, there = (asyncio.run(study(one, plugins, lambda progress: None, LENIENT)) for one in (job, elsewhere))
    assert there.state is StudyState.ACCEPTED, there.reason
    ours, theirs = (Adapter.load(one.folder / CANDIDATE).factors for one in (job, elsewhere))
    assert all(torch.allclose(ours[place].up, theirs[place].up, atol=1e-3) for place in ours)
    assert [sample.after for sample in there.report.outcomes[0].samples] == [
        sample.after for sample in here.report.outcomes[0].samples
    ]


def test_the_last_blocks_are_all_that_a_study_elsewhere_needs_here(far, plugins, tiny_study_base, tmp_path):
    """What is learned is the same but for rounding: in a smaller file weights lie elsewhere, and products of a few rows
    are summed in another order by where they lie.
    """
    _, whole = far
    part = whole.model_copy(
        update={"base": save_tail(tiny_study_base, tmp_path / "tail", CUT), "folder": tmp_path / "part"}
    )
    results = [asyncio.run(study(job, plugins, lambda progress: None, LENIENT)) for job in (whole, part)]
    assert [result.state for result in results] == [StudyState.ACCEPTED] * 2, results[1].reason
    one, other = (Adapter.load(job.folder / CANDIDATE).factors for job in (whole, part))
    assert all(torch.allclose(one[place].up, other[place].up, atol=1e-5) for place in one)


def test_a_server_that_goes_ends_the_study_with_a_sentence(far, plugins, monkeypatch):
    monkeypatch.setattr("nightschool.plugins.providers.remote._ALONE", 2)
    server, job = far
    with open_cut(job, plugins) as whole:
        server.server.should_exit = True
        server.thread.join()
        with pytest.raises(RemoteError, match=server.url):
            whole.writer.write(PROMPTS, limit=4)


def test_another_base_is_no_trunk_for_it(far, plugins, tmp_path):
    _, job = far
    other = save_tiny(tmp_path / "other", "qwen3")
    with pytest.raises(BaseMismatch), open_cut(job.model_copy(update={"base": other}), plugins):
        pass
