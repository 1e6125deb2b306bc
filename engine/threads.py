"""How many threads torch computes with: one a physical core, more only get in each other's way."""

from __future__ import annotations

import os


def use_all_cores() -> int:
    """Set torch's threads to the physical cores this process may use, and return their number.

    Where ``OMP_NUM_THREADS`` is set, someone has decided; torch keeps to it by itself.
    """
    import psutil
    import torch

    if os.environ.get("OMP_NUM_THREADS"):
        return torch.get_num_threads()
    allowed = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count()
    count = max(1, min(allowed or 1, psutil.cpu_count(logical=False) or allowed or 1))
    torch.set_num_threads(count)
    return count


def share_cores() -> None:
    """Have threads that wait for each other sleep soon instead of spinning; call it before torch is imported.

    OpenMP lets them spin for milliseconds at the end of every parallel loop. On a machine that does nothing else that
    is right; beside a study, or any other program, it takes the very core the awaited thread needs: replies were
    measured at 1 token a second with endless spinning and 15 with little. Too little costs as well: on two quiet cores
    1,000 turns give 21 tokens a second, 20,000 (some 0.4 ms) the full 31. Children inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # GNU's runtime prefers it to the policy
