"""Whatever is pasted, a detector reads a bounded part of it, with patterns that cannot run away."""

import importlib
import re
from dataclasses import fields, is_dataclass
from re import _constants as sre
from re import _parser as parser

import pytest

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.study import turn
from nightschool.engine.study.refusal import refusal

MODULES = [
    *(f"engine.study.{name}" for name in ("turn", "scope", "echo", "refusal")),
    *(
        f"plugins.detectors.{name}"
        for name in ("rules", "corrections", "rephrase", "style", "clarify", "praise", "other_languages")
    ),
]
MANY = 3
"""A repeat of at most so many cannot multiply the work by much."""


def repeats_within_repeats(parsed, inside=False):
    """Give the open-ended repeats inside others, which a failing match may share out in exponentially many ways."""
    for op, argument in parsed:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            low, high, body = argument
            wide = high > MANY and high != low
            if wide and inside:
                yield str(body)
            one_letter = len(body) == 1 and body[0][0] in (sre.IN, sre.LITERAL, sre.NOT_LITERAL, sre.ANY)
            yield from repeats_within_repeats(body, inside or (wide and not one_letter))
        elif op is sre.POSSESSIVE_REPEAT:
            yield from repeats_within_repeats(argument[2])
        elif op is sre.SUBPATTERN:
            yield from repeats_within_repeats(argument[3], inside)
        elif op is sre.ATOMIC_GROUP:
            yield from repeats_within_repeats(argument, inside)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield from repeats_within_repeats(branch, inside)
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            yield from repeats_within_repeats(argument[1])


def patterns(module):
    for name, value in vars(module).items():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, re.Pattern):
                yield name, item
            elif is_dataclass(item) and not isinstance(item, type):
                held = [getattr(item, each.name) for each in fields(item)]
                yield from ((name, pattern) for pattern in held if isinstance(pattern, re.Pattern))


@pytest.mark.parametrize("name", MODULES)
def test_no_pattern_repeats_without_end_inside_a_repeat(name):
    found = list(patterns(importlib.import_module(f"nightschool.{name}")))
    assert found or name.endswith("rephrase")
    bad = [
        (where, body)
        for where, pattern in found
        for body in repeats_within_repeats(parser.parse(pattern.pattern, pattern.flags))
    ]
    assert bad == []


def test_the_check_above_sees_what_it_looks_for():
    assert list(repeats_within_repeats(parser.parse(r"(?:a+)+b")))
    assert list(repeats_within_repeats(parser.parse(r"(?:(?:\W*\w+)*x)")))
    assert not list(repeats_within_repeats(parser.parse(r"(?:a++ )*b")))


HOSTILE = [
    "ok " * 350_000,
    "no, " * 250_000 + "!",
    "please " * 150_000,
    "always " * 150_000 + "?",
    "from now on " * 90_000,
    "'" * 1_000_000,
    "“" * 500_000 + "a’" * 250_000,
    "a" * 1_000_000,
    " " * 1_000_000 + "x",
    "\n \n" * 300_000,
    "```" * 330_000,
    "> " * 500_000,
    "*a" * 500_000,
    ": \n" * 330_000,
    "that is not " * 80_000,
    "make it a bit more " * 50_000,
    "\ud800\x00\u202e" * 300_000,
    "?" * 1_000_000,
    "1. " * 330_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_megabyte_of_anything_is_read_as_prompt_reply_and_message(text):
    detectors = PluginHost.load(third_party=False).collect("nightschool_detectors")
    for detector in detectors:
        for args in ((text, text, text), ("What is rust?", "Iron oxide.", text), (text, text, "Shorter, please.")):
            assert len(detector.find(*args)) <= turn.MOST_SENTENCES
    refusal(text)


def test_only_the_beginning_of_a_message_is_read():
    long = "x" * turn.LONGEST + " From now on, answer in one sentence."
    assert turn.read_turn("", "", long) == turn.read_turn("", "", long + "From now on, never use lists.")
