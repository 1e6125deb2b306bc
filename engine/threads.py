"""How many threads torch computes with: one a physical core, more only get in each other's way."""

from __future__ import annotations


def use_all_cores() -> int:
    """Set torch's threads to the physical cores this process may use, and return their number."""
    import psutil
    import torch

    allowed = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count()
    count = max(1, min(allowed or 1, psutil.cpu_count(logical=False) or allowed or 1))
    torch.set_num_threads(count)
    return count
