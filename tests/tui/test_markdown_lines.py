"""Markdown as lines: every block has its look, nothing is wider than the screen, and growing text ends up the same."""

import pytest

from nightschool.tui.markdown_lines import markdown_lines, split_last
from nightschool.tui.widgets.prose import Prose

TEXT = """# Title

A paragraph with **bold**, *italic*, `code`, ~~gone~~ and [a link](https://example.org).
Its second line.

- one
- two
  - nested

1. first
2. second

> said somebody

```python
def f(x):
    return x
```

| city | since |
|---|---|
| Paris | 508 |

---

The <b>end</b>.
"""


def plain(source, width=60):
    return [line.plain.rstrip() for line in markdown_lines(source, width)]


def test_each_block_has_its_look():
    lines = plain(TEXT)
    assert lines[0] == "Title"
    assert "Its second line." in lines
    assert lines[lines.index("• one") :][:2] == ["• one", "• two"]
    assert "  ◦ nested" in lines
    assert lines[lines.index("1. first") :][:2] == ["1. first", "2. second"]
    assert "▎ said somebody" in lines
    assert lines[lines.index("  def f(x):") :][:2] == ["  def f(x):", "      return x"]
    assert lines[lines.index("city   since") :][:3] == ["city   since", "─────  ─────", "Paris  508"]
    assert "─" * 60 in lines
    assert lines[-1] == "The <b>end</b>."


@pytest.mark.parametrize("width", [1, 13, 20, 60, 200])
def test_no_line_is_wider_than_the_screen(width):
    long = TEXT + "\n\n- " + "word " * 60 + "\n\n" + "x" * 300 + "\n\n```\n" + "y" * 300 + "\n```\n\n漢字" + "漢字" * 80
    for line in markdown_lines(long, width):
        assert line.cell_length <= max(width, 24)


@pytest.mark.parametrize("size", [1, 3, 7, 50])
@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), "a\n\n\x1b[31m b\n\nc\r\n\r\nd", "- a\n\n- b\n\nc"])
def test_a_text_that_grows_ends_up_as_if_it_had_come_at_once(text, size):
    growing, whole = Prose(""), Prose(text)
    growing.lines(50)
    for start in range(0, len(text), size):
        growing.source += text[start : start + size]
        growing._lines = None
        growing.lines(50)
    assert [line.plain for line in growing.lines(50)] == [line.plain for line in whole.lines(50)]


def test_only_the_last_block_can_still_change():
    assert split_last("one") == 0
    assert split_last("one\n\ntwo") == 5
    assert split_last("one\n\n```\ncode\n\nmore") == 5


def test_a_link_keeps_its_address_and_cannot_break_out_of_it():
    [line] = markdown_lines("[x](<https://e.org/')+app.quit('>)", 60)
    [action] = [span.style.meta["@click"] for span in line.spans if getattr(span.style, "meta", None)]
    assert action == "link(" + repr("https://e.org/')+app.quit('") + ")"
