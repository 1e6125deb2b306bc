"""Changing single settings in the text of a TOML file, so that all else in it, comments and layout too, stays.

It knows lines, not TOML: a value of several lines, or a table written inline, is torn. So whoever changes a file reads
the result again and compares (``settings.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

Value = str | bool | float | tuple[str, ...]

_TABLE = re.compile(r"^\s*\[", re.MULTILINE)
_COMMENT = re.compile(r"[ \t]*(#.*)?")


def with_value(text: str, key: str, value: Value) -> str:
    """Return the text with ``key`` of the top level set in its first line; an empty value takes the key out."""
    table = _TABLE.search(text)
    head, rest = (text[: table.start()], text[table.start() :]) if table else (text, "")
    line = re.compile(rf"^[ \t]*({key}|\"{key}\"|'{key}')[ \t]*=.*\n?", re.MULTILINE)
    said = f"{key} = {_written(value)}\n" if value not in ("", ()) else ""
    return said + line.sub("", head) + rest


def with_table(text: str, name: str, values: Iterable[tuple[str, Value]]) -> str:
    """Return the text with a table at its end."""
    lines = [f"[{name}]", *(f"{key} = {_written(value)}" for key, value in values)]
    before = text if not text or text.endswith("\n") else f"{text}\n"
    return f"{before}\n" * bool(before) + "\n".join(lines) + "\n"


def without_table(text: str, name: str) -> str:
    """Return the text without a table; what stands above the next table belongs to that one and stays."""
    parts = [re.escape(part) for part in name.split(".")]
    header = r"[ \t]*\.[ \t]*".join(f"(?:{part}|\"{part}\"|'{part}')" for part in parts)
    lines = text.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if re.match(rf"\s*\[\s*{header}\s*\]", line)), None)
    if first is None:
        return text
    following = (n for n in range(first + 1, len(lines)) if _TABLE.match(lines[n]))
    last = next(following, len(lines))
    while last < len(lines) and last > first + 1 and _COMMENT.fullmatch(lines[last - 1].rstrip("\r\n")):
        last -= 1
    while first and not lines[first - 1].strip() and (last == len(lines) or not lines[last].strip()):
        first -= 1
    return "".join(lines[:first] + lines[last:])


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, value))}]"
    return _quoted(value)


def _quoted(text: str) -> str:
    """Return a TOML string: one of JSON with everything escaped that TOML does not allow."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
