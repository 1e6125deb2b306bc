import errno
import os

import pytest
import torch
from safetensors import SafetensorError

from nightschool.engine.study.states_cache import StatesCache, forget_states, in_16_bits

TOKENS = [[1, 2, 3], [4]]


def rows(seed=0, count=4):
    return {"rows": torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)).half()}


@pytest.fixture
def cache(tmp_path):
    return StatesCache(tmp_path, "base", "cut 2 in fp32")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_was_written_reads_back(cache):
    assert cache.read("capability", "d1", TOKENS) is None
    cache.write("capability", "d1", TOKENS, rows())
    found = cache.read("capability", "d1", TOKENS)
    assert found is not None
    assert torch.equal(found["rows"], rows()["rows"])


def test_other_tokens_bases_and_cuts_are_other_states(cache, tmp_path):
    cache.write("capability", "d1", TOKENS, rows())
    assert cache.read("capability", "d1", [[1, 2], [3, 4]]) is None
    assert StatesCache(tmp_path, "other", "cut 2 in fp32").read("capability", "d1", TOKENS) is None
    assert StatesCache(tmp_path, "base", "cut 3 in fp32").read("capability", "d1", TOKENS) is None


def test_other_data_replaces_what_came_of_the_old(cache, tmp_path):
    cache.write("capability", "d1", TOKENS, rows())
    cache.write("capability", "d1", [[9]], rows())
    cache.write("requests", "d1", TOKENS, rows())
    assert len(files(tmp_path)) == 3, "two system prompts, two kinds"
    cache.write("capability", "d2", TOKENS, rows())
    assert cache.read("capability", "d1", [[9]]) is None
    assert cache.read("requests", "d1", TOKENS) is not None
    assert len(files(tmp_path)) == 2


def test_a_file_that_does_not_read_is_as_none(cache, tmp_path):
    cache.write("capability", "d1", TOKENS, rows())
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    assert cache.read("capability", "d1", TOKENS) is None
    cache.write("capability", "d1", TOKENS, rows())
    assert cache.read("capability", "d1", TOKENS) is not None


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    StatesCache(tmp_path, "base", "cut 2").write("capability", "d1", [[0]], rows(0))
    (first,) = files(tmp_path)
    cache = StatesCache(tmp_path, "base", "cut 2", most=3 * first.stat().st_size)
    for number in range(3):
        cache.write("capability", "d1", [[number]], rows(number))
        for age, path in enumerate(sorted(files(tmp_path), key=lambda path: path.stat().st_mtime, reverse=True)):
            os.utime(path, (1e9 - age, 1e9 - age))
    assert cache.read("capability", "d1", [[0]]) is not None  # used now
    cache.write("requests", "d1", [[3]], rows(3))
    assert cache.read("capability", "d1", [[1]]) is None
    assert cache.read("capability", "d1", [[0]]) is not None
    assert cache.read("requests", "d1", [[3]]) is not None


@pytest.mark.parametrize("error", [SafetensorError("No space left on device"), OSError(errno.ENOSPC, "No space")])
def test_states_that_cannot_be_kept_are_computed_again(cache, tmp_path, monkeypatch, caplog, error):
    def full(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", full)
        cache.write("capability", "d1", TOKENS, rows())
    assert "No space" in caplog.text
    assert cache.read("capability", "d1", TOKENS) is None and not files(tmp_path)
    cache.write("capability", "d1", TOKENS, rows())
    assert cache.read("capability", "d1", TOKENS) is not None


def test_what_a_killed_writer_left_goes_and_what_goes_meanwhile_is_no_trouble(cache, tmp_path):
    cache.write("capability", "d1", TOKENS, rows())
    (path,) = files(tmp_path)
    (path.parent / ".capability.x.part").write_bytes(b"half")
    os.utime(path.parent / ".capability.x.part", (1e9, 1e9))
    (path.parent / "gone.safetensors").symlink_to("nowhere")
    cache.write("requests", "d1", TOKENS, rows())
    assert len(files(tmp_path)) == 2


def test_the_states_of_a_base_that_goes_go_with_it(cache, tmp_path):
    other = StatesCache(tmp_path, "other", "cut 2")
    cache.write("capability", "d1", TOKENS, rows())
    other.write("capability", "d1", TOKENS, rows())
    forget_states(tmp_path, "base")
    assert cache.read("capability", "d1", TOKENS) is None
    assert other.read("capability", "d1", TOKENS) is not None
    forget_states(tmp_path, "base")


def test_without_a_folder_nothing_is_kept():
    cache = StatesCache(None, "base", "cut 2")
    cache.write("capability", "d1", TOKENS, rows())
    assert cache.read("capability", "d1", TOKENS) is None


def test_states_are_rounded_to_16_bits_unless_one_is_too_large():
    small, large = torch.tensor([[0.1, 60_000.0]]), torch.tensor([[0.1, 70_000.0]])
    assert in_16_bits(small).dtype == torch.float16
    assert torch.equal(in_16_bits(large), large)
