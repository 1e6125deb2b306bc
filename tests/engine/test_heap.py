"""What a process gives back of its memory."""

import os
import subprocess
import sys

import pytest

# 20 blocks of 10 MB with something small that stays between each two, as states stay between the tensors of a step.
PLAY = """
import ctypes
from pathlib import Path
from nightschool.engine.heap import give_back, return_large_blocks

malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

def block(size):
    address = malloc(size)
    ctypes.memset(address, 1, size)
    return address

asked = {asked}
if asked and not return_large_blocks():
    raise SystemExit(77)  # another C library
free(block(30 * 2**20))  # from here on glibc, left alone, takes such blocks from its heap
before, large = held(), []
for _ in range(20):
    large.append(block({megabytes} * 2**20))
    block(50_000)
for address in large:
    free(address){then}
print(held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_large_blocks_between_small_ones_that_stay_are_given_back():
    left_alone, asked = _play(asked=False), _play(asked=True)
    assert left_alone > 100  # or there would be nothing to be done
    assert asked < 10


@pytest.mark.skipif(sys.platform != "linux", reason="a function of glibc")
def test_what_is_free_between_blocks_in_use_is_given_back_when_asked_for():
    """Blocks of 1 MB come from the heap, and what stays at its end keeps it from shrinking by itself."""
    kept, given = (_play(asked=False, megabytes=1, then=then) for then in ("", "\nif not give_back(): exit(77)"))
    assert kept > 15
    assert given < 5


AGAIN = """
import ctypes, resource
from nightschool.engine.heap import return_large_blocks

malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
if not return_large_blocks():
    raise SystemExit(77)  # another C library
for number in range(50):
    if number == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    address = malloc(4 * 2**20)
    ctypes.memset(address, 1, 4 * 2**20)
    free(address)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_a_block_at_the_end_of_the_heap_is_taken_again_without_new_pages():
    assert _run(AGAIN) < 2000  # 50 times 1,024 if each went back


SHAPES = """
from pathlib import Path
from nightschool.engine.heap import give_back, keep_few_kernels

{asked}
import torch

def held():
    give_back()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

weight, rows = torch.ones(3072, 576, dtype=torch.bfloat16), torch.ones(400, 576, dtype=torch.bfloat16)
rows @ weight.T
before = held()
for count in range(100, 400):
    rows[:count] @ weight.T
print(held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_products_of_many_shapes_leave_few_kernels_behind():
    left_alone, asked = (_run(SHAPES.format(asked=asked)) for asked in ("", "keep_few_kernels()"))
    if left_alone < 40:
        pytest.skip("this processor's products are not made for one shape each")
    assert asked < left_alone / 2


def _play(*, asked, megabytes=10, then=""):
    play = PLAY.format(asked=asked, megabytes=megabytes, then=then)
    return _run(play)


def _run(play):
    # Another test of this process may have asked for few kernels, which children inherit.
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_CACHE_CAPACITY")}
    done = subprocess.run(
        [sys.executable, "-c", play], capture_output=True, text=True, timeout=60, check=False, env=inherited
    )
    if done.returncode == 77:
        pytest.skip("not glibc")
    assert not done.stderr
    return float(done.stdout)
