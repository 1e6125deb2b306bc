"""What is counted, and the text format in which Prometheus reads it (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "nightschool_"
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Counter:
    """Something that only grows, for each value of its labels."""

    def __init__(self, name: str, help_: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self._help, self._labels = f"{_PREFIX}{name}", help_, labels
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, amount: float = 1.0, *labels: str) -> None:
        """Count."""
        assert len(labels) == len(self._labels)
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def lines(self) -> Iterator[str]:
        """Give its lines."""
        yield from _head(self.name, self._help, "counter")
        for labels, value in sorted(self._values.items()):
            yield f"{self.name}{_labelled(self._labels, labels)} {_number(value)}"


class Gauge:
    """Something that is looked at when it is asked for."""

    def __init__(self, name: str, help_: str, value: Callable[[], float]) -> None:
        self.name, self._help, self._value = f"{_PREFIX}{name}", help_, value

    def lines(self) -> Iterator[str]:
        """Give its lines."""
        yield from _head(self.name, self._help, "gauge")
        yield f"{self.name} {_number(self._value())}"


class Histogram:
    """How often something took how many seconds."""

    def __init__(self, name: str, help_: str, bounds: tuple[float, ...] = _BOUNDS) -> None:
        self.name, self._help, self._bounds = f"{_PREFIX}{name}", help_, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self) -> Iterator[str]:
        """Give its lines."""
        yield from _head(self.name, self._help, "histogram")
        for bound, count in zip((*map(str, self._bounds), "+Inf"), accumulate(self._counts), strict=True):
            yield f'{self.name}_bucket{{le="{bound}"}} {count}'
        yield f"{self.name}_sum {_number(self._sum)}"
        yield f"{self.name}_count {sum(self._counts)}"


class Metrics:
    """Everything that the server counts. Used in the loop's thread only."""

    def __init__(self) -> None:
        self.requests = Counter("requests_total", "Requests answered.", ("verb", "status"))
        self.tokens = Counter("tokens_total", "Tokens computed.", ("verb",))
        self.rows = Counter("rows_total", "States sent.", ("verb",))
        self.sent = Counter("sent_bytes_total", "Bytes of frames sent.", ("verb",))
        self.evicted = Counter("evicted_total", "Sessions whose keys and values were dropped for room.")
        self.expired = Counter("expired_total", "Sessions dropped because they were idle.")
        self.shared = Counter("shared_tokens_total", "Tokens taken over from another session of the same key.")
        self.passes = Counter("passes_total", "Passes of the model.")
        self.batched = Counter("batched_streams_total", "Streams in those passes, all together.")
        self.pass_seconds = Histogram("pass_seconds", "Time of a pass of the model.")
        self.step_seconds = Histogram("step_seconds", "Time from a step's request to the end of its answer.")
        self.gauges: list[Gauge] = []

    def text(self) -> str:
        """Return all of it."""
        counted = (value for value in vars(self).values() if not isinstance(value, list))
        return "".join(f"{line}\n" for one in (*counted, *self.gauges) for line in one.lines())


def _head(name: str, help_: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"


def _labelled(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
