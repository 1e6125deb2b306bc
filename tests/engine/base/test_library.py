"""Preparing and loading bases: what is whole is quick, what is not is said in one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import shutil

import pytest
import torch

from nightschool.engine.base import library
from nightschool.engine.base.halves import open_tail, open_trunk
from nightschool.engine.base.library import load, prepare
from nightschool.engine.base.weights import MANIFEST
from nightschool.engine.paths import Home
from nightschool.schemas.errors import (
    ModelDamaged,
    ModelError,
    ModelNotFound,
    StorageError,
    UnsupportedFamily,
)
from nightschool.tests.tiny import save_tiny, tiny


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path, tiny_base_folder):
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_base_folder, tmp_path / "model")


def quiet(stage, fraction):
    """Hear of progress and say nothing."""


def truncate(path, size):
    os.truncate(path.resolve(), size)


def test_a_local_folder_loads_as_it_is(folder, home):
    prepared = prepare(str(folder), home, quiet)
    base = load(prepared)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(base.model(ids).logits, tiny("llama")(ids).logits)
    assert (base.card.name, base.card.family, base.card.layers, base.card.width) == ("model", "llama", 4, 32)
    assert base.card.source == str(folder)
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert prepared.parent == home.models


def test_preparing_again_gives_the_same_folder_without_reading_the_weights(folder, home, monkeypatch):
    first = prepare(str(folder), home, quiet)
    monkeypatch.setattr(library, "_finish", lambda *_, **__: pytest.fail("prepared twice"))
    monkeypatch.setattr("nightschool.engine.base.weights.file_sha256", lambda _: pytest.fail("hashed again"))
    assert prepare(str(folder), home, quiet) == first
    assert prepare(str(first), home, quiet) == first


def test_a_touched_file_is_hashed_once_and_accepted(folder, home):
    prepared = prepare(str(folder), home, quiet)
    before = (prepared / MANIFEST).read_text()
    os.utime(folder / "model.safetensors", ns=(1, 1))
    load(prepared)
    assert (prepared / MANIFEST).read_text() != before


def test_one_changed_byte_in_the_weights_is_found(folder, home):
    prepared = prepare(str(folder), home, quiet)
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.seek(-5, os.SEEK_END)
        byte = stream.read(1)
        stream.seek(-5, os.SEEK_END)
        stream.write(bytes([byte[0] ^ 1]))
    for again in (lambda: load(prepared), lambda: prepare(str(folder), home, quiet)):
        with pytest.raises(ModelDamaged, match=r"model\.safetensors is not the file it was"):
            again()


def test_a_missing_file_is_named(folder, home):
    prepared = prepare(str(folder), home, quiet)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelDamaged, match=r"tokenizer\.json is missing"):
        load(prepared)


@pytest.mark.parametrize("size", [0, 5, 100, 20_000])
def test_truncated_weights_are_refused(folder, home, size):
    truncate(folder / "model.safetensors", size)
    for use in (lambda: load(folder), lambda: prepare(str(folder), home, quiet)):
        with pytest.raises(ModelDamaged, match="truncated or damaged"):
            use()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("tokenizer.json", '{"version": "1.0"'),
        ("config.json", '{"model_type": "llama", "hidden_size": 48, "num_attention_heads": 4}'),
        ("config.json", '{"model_type": "llama", "hidden_size": "abc"}'),
        ("config.json", '{"model_type": "llama", "num_attention_heads": 0}'),
        ("tokenizer_config.json", '{"model_max_length": "abc"}'),
    ],
)
def test_files_that_do_not_fit_give_one_sentence(folder, home, name, content):
    (folder / name).write_text(content)
    for use in (lambda: load(folder), lambda: prepare(str(folder), home, quiet)):
        with pytest.raises(ModelDamaged) as caught:
            use()
        assert "\n" not in str(caught.value)
        assert str(folder.name) in str(caught.value)
    assert not [path for path in home.models.iterdir() if not path.name.startswith(".")]


def test_weights_of_another_depth_are_refused_not_padded_with_noise(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 5}))
    with pytest.raises(ModelDamaged, match=r"lacks the tensor model\.layers\.4"):
        load(folder)
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelDamaged, match=r"holds model\.layers\.3"):
        load(folder)


def test_sharded_weights_load_and_a_lost_shard_is_named(tmp_path, tiny_base):
    folder = tmp_path / "sharded"
    tiny("llama").save_pretrained(folder, max_shard_size="20KB")
    tiny_base.tokenizer.save_pretrained(folder)
    assert (folder / "model.safetensors.index.json").is_file()
    assert load(folder).card.fingerprint == tiny_base.card.fingerprint
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(ModelDamaged, match=shard.name):
        load(folder)


def test_an_index_that_points_outside_the_folder_is_refused(folder, tmp_path):
    (folder / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    index = {"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelDamaged, match="elsewhere"):
        load(folder)


def test_pickled_weights_are_never_read(folder):
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="pickled weights"):
        load(folder)


def test_a_folder_without_a_model_is_refused(tmp_path, home):
    with pytest.raises(ModelNotFound, match=r"config\.json is missing"):
        prepare(str(tmp_path), home, quiet)


@pytest.mark.parametrize("spec", ["./nowhere", "/no/such/folder", "nowhere", "a/b/c", "~/nowhere", "a b/c"])
def test_a_name_that_is_neither_folder_nor_hub_name_is_refused(spec, home):
    with pytest.raises(ModelNotFound, match="There is no folder"):
        prepare(spec, home, quiet)


def test_an_unsupported_family_is_refused_by_name_before_its_weights_are_read(folder, home):
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    for use in (lambda: load(folder), lambda: prepare(str(folder), home, quiet)):
        with pytest.raises(UnsupportedFamily, match="'gpt2' is not supported; use one of: llama"):
            use()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("auto_map", {"AutoModelForCausalLM": "evil.Model"}, "its own code"),
        ("quantization_config", {"quant_method": "fp8"}, "quantised"),
        ("rope_scaling", {"type": "longrope"}, "'longrope'"),
        ("rope_parameters", {"full_attention": {"rope_type": "default"}}, "unknown form"),
        ("rope_parameters", "abc", "unknown form"),
    ],
)
def test_what_is_not_proven_within_a_family_is_refused(folder, field, value, said):
    config = json.loads((folder / "config.json").read_text())
    config.pop("rope_parameters", None)
    (folder / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(UnsupportedFamily, match=said):
        load(folder)


def test_code_beside_the_weights_is_never_run(folder, tmp_path):
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}, "tokenizer_class": "EvilTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with contextlib.suppress(ModelError):  # refused, or read with the stock class: both are well
        load(folder)
    assert not mark.exists()


def test_what_a_killed_run_left_is_cleared_away(folder, home):
    prepared = prepare(str(folder), home, quiet)
    part = prepared.with_name(f".{prepared.name}.part")
    prepared.rename(part)  # killed just before the rename
    (part / MANIFEST).unlink()
    assert prepare(str(folder), home, quiet) == prepared
    assert load(prepared).card.name == "model"
    assert not part.exists()


def test_a_profile_that_cannot_be_written_is_said(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used"):
        prepare(str(folder), Home(tmp_path / "file"), quiet)


def test_another_dtype_is_loaded_on_request(tiny_base_folder):
    assert load(tiny_base_folder, torch.bfloat16).model.dtype == torch.bfloat16


def test_progress_is_told_in_words_and_fractions(folder, home):
    told = []
    prepare(str(folder), home, lambda stage, fraction: told.append((stage, fraction)))
    assert told[-1] == ("Ready", 1.0)
    assert all(stage and (fraction is None or 0 <= fraction <= 1) for stage, fraction in told)


@pytest.mark.parametrize("end", ["abc", 260, [257, -1], {}])
def test_an_end_of_turn_that_is_no_token_is_refused(folder, end):
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    with pytest.raises(ModelDamaged, match=r"ends its replies with|does not load"):
        load(folder)


def test_a_prepared_folder_with_a_spoilt_manifest_does_not_stand_in_the_way(folder, home):
    prepared = prepare(str(folder), home, quiet)
    (prepared / MANIFEST).write_text("{")
    assert prepare(str(folder), home, quiet) == prepared
    assert load(prepared).card.name == "model"


def test_a_chat_template_that_does_not_render_is_refused(folder):
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no') }}")
    with pytest.raises(ModelDamaged, match="chat template does not render"):
        load(folder)


@pytest.mark.parametrize("family", ["qwen3", "deepseek_v3"])
def test_other_families_load_from_a_folder(tmp_path, family):
    base = load(save_tiny(tmp_path / family, family))
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(base.model(ids).logits, tiny(family)(ids).logits)


def test_a_prepared_base_says_what_it_says_without_the_stock_model_and_its_import(folder, home, monkeypatch):
    base = load(prepare(str(folder), home, quiet))
    monkeypatch.setattr(library, "read_tokenizer", None)
    monkeypatch.setattr(library, "_read_model", None)
    again = load(base.folder)
    assert again.tokenizer.encode("Hello there") == base.tokenizer.encode("Hello there")
    ids = [1, 2, 3, 4]
    with torch.no_grad():
        tail, trunk = open_tail(again, 2), open_trunk(again, 2)
        got = tail.head(tail.sequences(trunk.sequences([ids]))[0])
    torch.testing.assert_close(got, tiny("llama")(torch.tensor([ids])).logits[0], atol=1e-4, rtol=1e-4)


def test_a_tokenizer_that_the_general_class_reads_otherwise_is_read_by_its_own(folder, home, monkeypatch):
    base = load(prepare(str(folder), home, quiet))
    other = base.card.model_copy(update={"tokenizer_hash": "0" * 64})
    asked = []
    monkeypatch.setattr(library, "read_tokenizer", lambda path: asked.append(path) or "its own")
    monkeypatch.setattr(library, "_read_card", lambda path: other)
    assert load(base.folder).tokenizer == "its own"
    assert asked == [base.folder]
