"""numpy, with one thread for its small matrices.

Its linear algebra is OpenBLAS, whose threads spin while they wait for each other. For the small squares of ``scan.py``
that gains nothing on a quiet machine, and on a busy one it took 0.19 s a square where one thread took 0.002. OpenBLAS
reads the number when it is loaded, so it is set for just that long, and no child process inherits it.
"""

from __future__ import annotations

import os

_VARIABLE = "OPENBLAS_NUM_THREADS"
_BEFORE = os.environ.get(_VARIABLE)
os.environ.setdefault(_VARIABLE, "1")
try:
    import numpy as np
finally:
    if _BEFORE is None:
        del os.environ[_VARIABLE]

__all__ = ["np"]
