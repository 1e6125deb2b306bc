"""Memory goes back to the system: large blocks as soon as they are free, all others when they are asked for."""

from __future__ import annotations

import ctypes
import os
import sys

_KERNELS = 64

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE = 8 * 2**20  # bytes; at 1 MB a step took a tenth longer and 0.3 GB less
_TOP = 256 * 2**20  # bytes that may lie free at the heap's end until ``give_back``


def keep_few_kernels() -> None:
    """Have torch keep few of the kernels it makes for products in half numbers; call it before torch computes.

    oneDNN makes one for each shape, and keeps 1,024 of them, of 0.7 MB each, twice over: after a thousand prompts of
    different lengths a process holds 0.75 GB for nothing, and more where they lie between blocks that come and go.
    Those of one training step are fewer than ``_KERNELS``. Children inherit it.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(_KERNELS))


def return_large_blocks() -> bool:
    """Have glibc map every block of 8 MB or more by itself; return whether that could be asked for.

    Left alone it learns, from the first large block that is freed, to take others up to 32 MB from its heap (see
    mallopt(3)). There the tensors of a training step leave holes between the states that stay: a study whose steps
    need 0.4 GB was seen to hold 3 GB. Other C libraries do not do so, and have no such setting.

    Whoever sets it has to say as well what may lie free at the end of the heap. Else it is 128 kB: the last tensor of
    every product goes back to the system, and comes again as pages to be cleared (a study: 17 million, 35 s of them).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, _LARGE) and mallopt(_TRIM_THRESHOLD, _TOP))


def give_back() -> bool:
    """Have glibc give back every whole page that is free, also between blocks in use; return whether there were any.

    It takes some hundredths of a second for a heap of 2 GB, of which a study was seen to hold 1.2 GB for nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    return trim is not None and bool(trim(0))
