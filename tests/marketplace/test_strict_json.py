"""JSON of strangers: each way in which two readers could differ, or one could die, is refused by its code."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightschool.marketplace.strict_json import MAX_BYTES, MAX_DEPTH, dumps, loads
from nightschool.schemas.errors import Refused


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a":1,"a":2}', "json-duplicate"),
        (b'{"a":{"b":1,"\\u0062":2}}', "json-duplicate"),
        (b"[NaN]", "json-number"),
        (b"[-Infinity]", "json-number"),
        (b"[1e999]", "json-number"),
        (b"[" + b"9" * 5000 + b"]", "json-number"),
        (b"[-" + b"9" * 19 + b"]", "json-number"),
        (b"[" * 100_000, "json-depth"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "json-depth"),
        (b'["\xff"]', "json-text"),
        (b'["\\ud800"]', "json-text"),
        (b'{"\\uDC00":1}', "json-text"),
        ("[1]".encode("utf-16"), "json-text"),
        (b"\xef\xbb\xbf[1]", "json"),
        (b"", "json"),
        (b"[1] [2]", "json"),
        (b"{'a':1}", "json"),
        (b"[1,]", "json"),
        (b'["a\nb"]', "json"),
        (b" " * (MAX_BYTES + 1), "json-size"),
    ],
)
def test_it_is_refused_by_its_code(data, code):
    with pytest.raises(Refused) as caught:
        loads(data)
    assert caught.value.code == code


def test_brackets_in_strings_do_not_count():
    assert loads(b'["' + b"[" * 50 + b'\\"[[[{"]') == ["[" * 50 + '"[[[{']


def test_what_is_nested_as_deep_as_allowed_is_read():
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_whole_characters_that_are_written_as_two_halves_are_read():
    assert loads(b'["\\ud83d\\ude00"]') == ["\U0001f600"]


@pytest.mark.parametrize(
    "data",
    [b'"\\"' * (MAX_BYTES // 3), b'["' + b'\\"' * (MAX_BYTES // 2 - 2) + b"\\", b'"' * MAX_BYTES],
    ids=["escaped", "a string without an end", "quotes"],
)
def test_no_text_takes_quadratic_time(data):
    begun = time.process_time()
    with pytest.raises(Refused):
        loads(data)
    assert time.process_time() - begun < 2.0


def test_many_names_take_no_quadratic_time():
    names = ",".join(f'"{number}":1' for number in range(20_000))
    begun = time.process_time()
    with pytest.raises(Refused, match="19999"):
        loads(f'{{{names},"19999":2}}'.encode())
    assert time.process_time() - begun < 2.0


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_what_we_write_reads_back_and_has_one_form(value):
    written = dumps(value)
    assert loads(written, max_depth=100) == value
    assert dumps(loads(written, max_depth=100)) == written


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\u0ed81.e-', max_size=40).map(str.encode))
def test_any_bytes_are_read_as_python_reads_them_or_refused(data):
    try:
        value = loads(data)
    except Refused:
        return
    assert value == json.loads(data) or (isinstance(value, float) and math.isnan(value))
