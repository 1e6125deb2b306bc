"""What is wrong with configuration, names and card."""

from __future__ import annotations

import json

from nightschool.marketplace.bundle import limits

from .table import changed, hostile, raw_files, variants, with_file


def config_with(**fields) -> bytes:
    config = json.loads(raw_files()["config"])
    return with_file("config", raw=json.dumps({**config, **fields}).encode())


@variants(
    53,
    *(
        ("config-field", name, {name: value})
        for name, value in (
            ("auto_mapping", {"parent_library": "os", "base_model_class": "system"}),
            ("megatron_config", {}),
            ("megatron_core", "evil"),
            ("layer_replication", [[0, 30]]),
            ("corda_config", {"cache_file": "/tmp/x"}),
            ("loftq_config", {}),
            ("init_lora_weights", "pissa"),
            ("modules_to_save", ["lm_head"]),
            ("tokenizer_kwargs", {"trust_remote_code": True}),
            ("rank_pattern", {"(a+)+b": 4}),
            ("base_model_name_or_path", "deleted/name"),
        )
    ),
    ("fields", "bias", {"bias": "all"}),
    ("fields", "format", {"format": True}),
    ("fields", "fraction", {"format": 1.0}),
    ("fields", "task", {"task": "SEQ_CLS"}),
)
def field_of_peft(fields):
    return config_with(**fields)


@variants(
    54,
    ("config-targets", "pattern", "(a+)+b"),
    ("config-targets", "all-linear", "all-linear"),
    ("config-targets", "in-a-list", ["q_proj", "(a+)+b"]),
    ("config-targets", "number", [1]),
    ("config-targets", "nothing", None),
    ("config-differs", "another", ["k_proj", "q_proj"]),
)
def targets(value):
    return config_with(targets=value)


@variants(
    55,
    ("config-rank", "rank", b'"r":1000000'),
    ("config-rank", "negative", b'"r":-1'),
    ("config-rank", "scale", b'"r":4,"alpha":4096.0'),
    ("json-number", "nan", b'"r":4,"alpha":NaN'),
    ("json-number", "infinity", b'"r":4,"alpha":1e999'),
    ("config-differs", "other", b'"r":8'),
)
def rank_or_scale(text):
    config = json.loads(raw_files()["config"])
    rest = {key: value for key, value in config.items() if key != "r" and not (key == "alpha" and b"alpha" in text)}
    return with_file("config", raw=json.dumps(rest).encode()[:-1] + b"," + text + b"}")


@hostile(56, "base-fingerprint")
def same_name_another_base():
    return changed(lambda payload: payload["predicate"]["base"].update(tensor_index_sha256="9" * 64))


@variants(
    57,
    ("text", "markup", "[@click=app.quit]Pirate[/]"),
    ("text", "unclosed", "[/nope]"),
    ("text", "escape", "Pirate\x1b[2J"),
    ("text", "bidi", "Pirate\u202egnp.exe"),
    ("text", "c1", "Pirate\x9b2J"),
    ("text", "lines", "Pirate\nVerified: yes"),
)
def deceiving_title(title):
    return changed(lambda payload: payload["predicate"]["card"].update(title=title))


@variants(
    57,
    ("text", "summary", ("card", "summary")),
    ("text", "base", ("base", "id")),
    ("text", "prompt", ("card", "system_prompt")),
)
def deceiving_text(place):
    return changed(lambda payload: payload["predicate"][place[0]].update({place[1]: "safe\x1b]0;x\x07 \u2066"}))


@variants(57, ("text", "escape", "# Card\x1b[2J"), ("text", "bidi", "# Card \u202e"), ("text", "return", "a\rb"))
def deceiving_card(text):
    return with_file("card", raw=text.encode())


@hostile(57, "json-text")
def card_that_is_no_text():
    return with_file("card", raw=b"\xff\xfe\xfd")


@hostile(58, "card-size")
def long_card():
    return with_file("card", raw=b"a" * (limits.CARD + 1))


@variants(
    65,
    *(
        ("slot-name", name[:9], name)
        for name in ("Captain", "CON", "con", "nul", "com1", "lpt9", "../x", "a/b", "", "-x")
    ),
)
def name_that_no_folder_can_have(name):
    return changed(lambda payload: payload["predicate"]["slot"].update(name=name))
