"""Which thread of a process computes with how many cores.

One thread computes with all of them. GNU's OpenMP keeps the helpers of every thread that ever computed with more than
one, and as soon as a process has more of them than there are cores it lets none wait awake (libgomp, ``team.c``): on
two cores a chat fell from 141 to 73 tokens a second once another thread had made one product of two matrices.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def use_all_cores() -> int:
    """Have torch compute with the physical cores in this thread, and return their number; in others, with one.

    More than one a physical core only get in each other's way. Where ``OMP_NUM_THREADS`` is set, someone has decided
    how many this thread has. A thread that has computed already goes on as it did.
    """
    import psutil
    import torch

    count = torch.get_num_threads()  # asked first: a thread that was not takes what was set last with its first product
    if not os.environ.get("OMP_NUM_THREADS"):
        of = psutil.Process()
        allowed = len(of.cpu_affinity()) if hasattr(of, "cpu_affinity") else psutil.cpu_count()
        count = max(1, min(allowed or 1, psutil.cpu_count(logical=False) or allowed or 1))
        torch.set_num_threads(count)
    apart(lambda: torch.set_num_threads(1))
    return count


def apart(work: Callable[[], T]) -> T:
    """Do some work in a thread that ends with it, so that the threads it computed with end, too; return its result."""
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 (it is raised again where the work was asked for)
            done.set_exception(error)

    thread = threading.Thread(target=do, name="apart", daemon=True)
    thread.start()
    thread.join()
    return done.result()


def share_cores() -> None:
    """Have threads that wait for each other sleep soon instead of spinning; call it before torch is imported.

    OpenMP lets them spin for milliseconds at the end of every parallel loop. On a machine that does nothing else that
    is right; beside a study, or any other program, it takes the very core the awaited thread needs: replies were
    measured at 1 token a second with endless spinning and 15 with little. Too little costs as well: on two quiet cores
    1,000 turns give 21 tokens a second, 20,000 (some 0.4 ms) the full 31. Children inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # GNU's runtime prefers it to the policy
