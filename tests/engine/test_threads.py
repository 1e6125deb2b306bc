"""How many threads torch computes with."""

import pytest

from nightschool.engine.threads import use_all_cores


@pytest.fixture
def asked_for(monkeypatch):
    """What torch was told."""
    import torch

    told = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    return told


def test_one_thread_a_core(monkeypatch, asked_for):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    count = use_all_cores()
    assert count >= 1 and asked_for == [count]


def test_a_number_that_the_user_has_set_is_kept_to(monkeypatch, asked_for):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    use_all_cores()
    assert asked_for == []
