from nightschool.tui.safe_text import one_line, safe


def test_escape_sequences_become_visible_symbols():
    assert safe("\x1b]0;evil\x07") == "␛]0;evil␇"
    assert safe("\x9b31m") == "�31m"


def test_newlines_and_tabs_stay_and_carriage_returns_cannot_overwrite_a_line():
    assert safe("a\tb\r\nc\rd") == "a\tb\ncd"


def test_bidirectional_overrides_are_shown():
    assert safe("abc\u202edcba\u2066x") == "abc�dcba�x"


def test_one_line_is_one_line_and_short():
    assert one_line("a\nb\n\n c\x1b") == "a b c␛"
    assert one_line("x" * 50, 10) == "x" * 9 + "…"
