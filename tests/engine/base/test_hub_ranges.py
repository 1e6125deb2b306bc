"""Single tensors from the hub: headers and the ranges needed are asked for, of a real file and a simulated 405B."""

from __future__ import annotations

import json
import struct

import pytest

from nightschool.engine.base.download import Remote
from nightschool.engine.base.hub import Found
from nightschool.engine.base.hub_ranges import Span, locate, read_index, spans_of
from nightschool.engine.base.safetensors_file import header_of, parse_header, read_places
from nightschool.engine.base.tensor_list import bytes_of, list_tensors, tail_of
from nightschool.schemas.errors import ModelDamaged
from nightschool.schemas.hsp import TensorEntry
from nightschool.tests.tiny import save_tiny

LAYERS, WIDTH, INNER, VOCABULARY, KEYS = 126, 16384, 53248, 128256, 1024


def named(name, *shape):
    return TensorEntry(name=name, dtype="torch.bfloat16", shape=list(shape), sha256="0" * 64)


def block(number):
    stem = f"model.layers.{number}"
    yield named(f"{stem}.input_layernorm.weight", WIDTH)
    for name, shape in (("gate_proj", (INNER, WIDTH)), ("up_proj", (INNER, WIDTH)), ("down_proj", (WIDTH, INNER))):
        yield named(f"{stem}.mlp.{name}.weight", *shape)
    yield named(f"{stem}.post_attention_layernorm.weight", WIDTH)
    for name, rows in (("q_proj", WIDTH), ("k_proj", KEYS), ("v_proj", KEYS), ("o_proj", WIDTH)):
        yield named(f"{stem}.self_attn.{name}.weight", rows, WIDTH)


class Simulated:
    """The shards of a 405B model: headers are real, tensors are never there; bytes asked for are counted."""

    def __init__(self):
        self.entries = [named("model.embed_tokens.weight", VOCABULARY, WIDTH)]
        self.entries += [entry for number in range(LAYERS) for entry in block(number)]
        self.entries += [named("model.norm.weight", WIDTH), named("lm_head.weight", VOCABULARY, WIDTH)]
        self.index, self.headers, self.asked = {}, {}, []
        held = {}
        for place, entry in enumerate(self.entries):  # six tensors a shard, as the real one has about
            file = f"model-{place // 6 + 1:05}-of-00191.safetensors"
            self.index[entry.name] = file
            held.setdefault(file, []).append(entry)
        for file, entries in held.items():
            self.headers[file] = header_of((entry.name, entry.dtype, tuple(entry.shape)) for entry in entries)

    def read(self, file, begin, end):
        self.asked.append((file, end - begin))
        assert end <= len(self.headers[file]), "bytes of a tensor were asked for"
        yield self.headers[file][begin:end]


def test_of_405_billion_parameters_a_few_gigabytes_are_asked_for():
    base = Simulated()
    tail = tail_of(base.entries, layers=LAYERS, upper=4, tied=False)
    assert len(tail) == 4 * 9 + 2
    found = locate(tail, base.read, base.index)
    spans = spans_of([found._spans[entry.name] for entry in tail], 0)
    asked = sum(span.end - span.begin for span in spans) + sum(size for _, size in base.asked)
    whole = bytes_of(base.entries)
    assert 800e9 < whole < 820e9
    assert bytes_of(tail) < asked < bytes_of(tail) + 20_000, "more than the tail and a few headers"
    assert asked / whole < 0.04 and asked < 30e9
    assert len({file for file, _ in base.asked}) <= 8, "headers of shards that hold nothing of the tail were read"
    assert len(spans) < len(tail), "neighbours are asked for one by one"


def test_the_head_alone_is_half_a_percent():
    base = Simulated()
    assert bytes_of(tail_of(base.entries, layers=LAYERS, upper=0, tied=False)) / bytes_of(base.entries) < 0.0053


def test_neighbours_are_joined_and_a_broken_pull_goes_on_inside_one():
    spans = [Span("a", 0, 10), Span("a", 10, 30), Span("b", 30, 40), Span("a", 50, 60)]
    assert spans_of(spans, 0) == [Span("a", 0, 30), Span("b", 30, 40), Span("a", 50, 60)]
    assert spans_of(spans, 4)[0] == Span("a", 4, 30)
    assert spans_of(spans, 10)[0] == Span("a", 10, 30)


def test_places_of_a_real_file_are_those_of_its_tensors(tmp_path):
    folder = save_tiny(tmp_path / "tiny", "qwen3")
    path = folder / "model.safetensors"

    def read(file, begin, end):
        assert file == "model.safetensors"
        yield path.read_bytes()[begin:end]

    entries = list_tensors(folder, tied=False)
    found = locate(entries, read, None)
    places = read_places(path)
    assert {name: (span.begin, span.end) for name, span in found._spans.items()} == {
        name: (place.begin, place.end) for name, place in places.items()
    }


@pytest.mark.parametrize("change", [{"dtype": "torch.float16"}, {"shape": [1, 1024]}, {"name": "model.nothing"}])
def test_a_repository_that_has_something_else_is_refused(tmp_path, change):
    folder = save_tiny(tmp_path / "tiny", "llama")
    data = (folder / "model.safetensors").read_bytes()
    entry = next(one for one in list_tensors(folder, tied=False) if one.shape == [32, 32]).model_copy(update=change)
    with pytest.raises(ModelDamaged, match="has not the tensor"):
        locate([entry], lambda file, begin, end: iter([data[begin:end]]), None)


HEADERS = {
    "none": b"",
    "no JSON": b"[1",
    "a list": b"[]",
    "an unknown type": json.dumps({"a": {"dtype": "F3", "shape": [1], "data_offsets": [0, 1]}}).encode(),
    "another size": json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}).encode(),
    "a hole": json.dumps({"a": {"dtype": "U8", "shape": [2], "data_offsets": [3, 5]}}).encode(),
    "an overlap": json.dumps(
        {n: {"dtype": "U8", "shape": [2], "data_offsets": [o, o + 2]} for n, o in (("a", 0), ("b", 1))}
    ).encode(),
    "less than nothing": json.dumps({"a": {"dtype": "U8", "shape": [-1], "data_offsets": [1, 0]}}).encode(),
    "no numbers": json.dumps({"a": {"dtype": "U8", "shape": ["x"], "data_offsets": [0, 1]}}).encode(),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_is_none_is_refused(what):
    header = HEADERS[what]

    def read(file, begin, end):
        yield (struct.pack("<Q", len(header)) + header)[begin:end]

    with pytest.raises(ModelDamaged):
        locate([named("a", 2)], read, None)


def test_a_header_of_impossible_length_is_not_asked_for():
    def read(file, begin, end):
        assert end <= 8
        yield struct.pack("<Q", 1 << 40)

    with pytest.raises(ModelDamaged, match="no safetensors file"):
        locate([named("a", 2)], read, None)


def test_a_header_of_ours_reads_back_and_its_tensors_begin_where_processors_like_it():
    made = header_of([("b", "torch.float32", (3,)), ("a", "torch.uint8", ())])
    places = parse_header(made[8:], "x")
    assert (places["b"].end - places["b"].begin, places["a"].end - places["a"].begin) == (12, 1)
    assert places["b"].begin == len(made) and len(made) % 64 == 0


@pytest.mark.parametrize("said", [b"[]", b'{"weight_map": {"a": "../../x"}}', b'{"weight_map": {"a": 3}}', b"{"])
def test_an_index_that_names_other_files_is_refused(said):
    found = Found("a/b", "0" * 40, (Remote("model.safetensors.index.json", len(said)), Remote("m.safetensors", 3)))
    with pytest.raises(ModelDamaged, match="index"):
        read_index(found, lambda file, begin, end: iter([said[begin:end]]))
