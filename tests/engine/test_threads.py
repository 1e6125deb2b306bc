"""Which thread of a process computes with how many cores."""

import threading

import psutil
import pytest

from nightschool.engine.threads import apart, use_all_cores


@pytest.fixture
def asked_for(monkeypatch):
    """What torch was told in which thread."""
    import torch

    told = []
    monkeypatch.setattr(torch, "set_num_threads", lambda count: told.append((threading.current_thread().name, count)))
    return told


def test_one_thread_a_core_here_and_one_elsewhere(monkeypatch, asked_for):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    count = use_all_cores()
    assert count == min(len(psutil.Process().cpu_affinity()), psutil.cpu_count(logical=False))
    assert asked_for == [(threading.current_thread().name, count), ("apart", 1)]


def test_a_number_that_the_user_has_set_is_kept_to(monkeypatch, asked_for):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    use_all_cores()
    assert asked_for == [("apart", 1)]


def test_whoever_computes_beside_the_thread_that_has_the_cores_takes_none_of_them(monkeypatch):
    import torch

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 2)
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: [0, 1], raising=False)

    def compute():
        count = use_all_cores()
        return count, torch.get_num_threads(), apart(torch.get_num_threads)

    assert apart(compute) == (2, 2, 1)


def test_what_work_apart_raises_is_raised_here():
    with pytest.raises(ValueError, match="no"):
        apart(lambda: int("no"))
