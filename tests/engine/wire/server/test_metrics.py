"""The counts come in the format that Prometheus reads."""

from __future__ import annotations

from nightschool.engine.wire.server.metrics import Counter, Gauge, Histogram, Metrics
from nightschool.tests.serving import tokens


def test_counters_have_a_line_for_each_label():
    counter = Counter("asked_total", "How often.", ("verb", "who"))
    counter.add(1, "step", 'a"b\\c\n')
    counter.add(2.5, "open", "x")
    counter.add(1, "open", "x")
    assert list(counter.lines()) == [
        "# HELP nightschool_asked_total How often.",
        "# TYPE nightschool_asked_total counter",
        'nightschool_asked_total{verb="open",who="x"} 3.5',
        'nightschool_asked_total{verb="step",who="a\\"b\\\\c\\n"} 1',
    ]


def test_gauges_are_looked_at():
    held = [1]
    gauge = Gauge("held", "Bytes.", lambda: sum(held))
    held.append(41)
    assert list(gauge.lines())[-1] == "nightschool_held 42"


def test_histograms_are_cumulative():
    histogram = Histogram("seconds", "Time.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7):
        histogram.observe(value)
    assert list(histogram.lines())[2:] == [
        'nightschool_seconds_bucket{le="0.1"} 2',
        'nightschool_seconds_bucket{le="1.0"} 3',
        'nightschool_seconds_bucket{le="+Inf"} 4',
        "nightschool_seconds_sum 7.65",
        "nightschool_seconds_count 4",
    ]


def test_a_server_that_has_counted_nothing_says_so():
    text = Metrics().text()
    assert "nightschool_passes_total 0\n" in text
    assert text.endswith("\n")


def test_a_server_counts_what_it_does(server):
    session = server.client().open()
    session.step(0, tokens(20))
    session.step(20, [1], first=21)
    text = server.client().http.get("/metrics").text
    for line in (
        'nightschool_requests_total{verb="step",status="200"} 2',
        'nightschool_tokens_total{verb="step"} 21',
        'nightschool_rows_total{verb="step"} 20',
        "nightschool_passes_total 2",
        "nightschool_sessions 1",
        "nightschool_sessions_busy 0",
    ):
        assert f"\n{line}\n" in text, text
