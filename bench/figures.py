"""What each figure should be, and whether a later run is worse. Knows no files and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]
"""One JSON line of a benchmark."""

THRESHOLD = 0.1
"""By how much a ratio may be worse than before."""


class Better(StrEnum):
    """In which direction a figure is good."""

    MORE = "≥"
    LESS = "≤"


@dataclass(frozen=True)
class Figure:
    """What is known of a figure before it is measured.

    Attributes:
        better: Its good direction.
        wanted: What it must reach; None: nothing is promised.
        ratio: Whether it has no dimension, so that it can be compared between machines.
        noise: A difference up to this is none, however large it is beside a small figure.
    """

    better: Better
    wanted: float | None = None
    ratio: bool = True
    noise: float = 0.0

    def reached(self, value: float) -> bool | None:
        """Return whether a value is as wanted; None if nothing is wanted."""
        if self.wanted is None:
            return None
        return value >= self.wanted if self.better is Better.MORE else value <= self.wanted

    def worse(self, before: float, now: float) -> bool:
        """Return whether a value is worse than one before by more than the threshold and the noise."""
        lost = before - now if self.better is Better.MORE else now - before
        return lost > max(THRESHOLD * abs(before), self.noise)


def _more(wanted: float | None = None, **known: Any) -> Figure:
    return Figure(Better.MORE, wanted, **known)


def _less(wanted: float | None = None, **known: Any) -> Figure:
    return Figure(Better.LESS, wanted, **known)


FIGURES: dict[str, Figure] = {
    # decode
    "speedup_vs_generate_fp32": _more(5),
    "speedup_vs_generate_bf16": _more(3.2),
    "same_dtype_speedup_fp32": _more(),
    "same_dtype_speedup_bf16": _more(),
    "lora_cost": _less(0.1, noise=0.03),
    "kl_to_fp32": _less(0.01, noise=0.002),
    # llama
    "ratio_vs_llama_cpp": _more(0.8),
    "prefill_ratio_vs_llama_cpp": _more(1),
    # step
    "speedup_vs_peft_full": _more(6.5),
    "speedup_vs_peft_full_bf16": _more(4.5),
    "speedup_vs_peft_full_head_at_targets": _more(),
    "fp32_speedup_vs_peft_full": _more(),
    # prefix and memory
    "turn2_share": _less(0.1, noise=0.02),
    "slot_switch_read_share": _less(1),
    "chat_memory_ratio": _less(2),
    # slots
    "switch_speedup_vs_peft": _more(20),
    "switch_speedup_cold": _more(),
    "blend_cost": _less(0.15, noise=0.03),
    "side_by_side_ratio": _less(1.4),
    "store_list_ms": _less(50, ratio=False),
    "store_switch_ms": _less(50, ratio=False),
    "store_rollback_ms": _less(50, ratio=False),
    "store_growth": _less(1.1),
    # blend: relative errors on the true products
    "blend_error_exact": _less(1e-5, noise=1e-5),
    # archive
    **{f"archive_growth_turn_{count}": _less(1.2, noise=0.2) for count in (50, 200, 800)},
    "archive_growth_prompt": _less(1.2, noise=0.2),
    "archive_growth_store": _less(2, noise=1.0),
    "archive_growth_list": _less(2, noise=0.5),
    "archive_growth_list_seldom": _less(2, noise=0.5),
    "archive_growth_open": _less(2, noise=0.5),
    "archive_growth_search": _less(2, noise=0.5),
    "archive_growth_search_rare": _less(2, noise=0.5),
    "cost_per_token_growth": _less(1.2, noise=0.1),
    # serve
    "throughput_16_vs_1": _more(4),
    "step_p99_ms": _less(ratio=False),
    "overhead_ms": _less(1, ratio=False),
    "cache_share": _less(1),
    "memory_growth_mb": _less(50, ratio=False),
    # registry, with 10,000 bundles listed
    "registry_wait_ms": _less(200, ratio=False),
    "registry_vs_tuf": _less(1),
    # bundle
    "bf16_ratio": _less(0.70, noise=0.01),
    "f32_ratio": _less(noise=0.01),
    "over_tar_size": _less(1),
    "over_zip_size": _less(1),
    "over_tar_open": _less(1, noise=0.2),
    "over_zip_open": _less(1, noise=0.1),
    "listing_bytes": _less(257_000),
    "pack_mb_s": _more(150, ratio=False),
    "verify_mb_s": _more(150, ratio=False),
    # wire
    "round_trips_per_100_tokens": _less(12, noise=1),
    "speedup_at_0ms": _more(0.95),
    "speedup_at_50ms": _more(3),
    "speedup_at_100ms": _more(4),
    "different_replies": _less(0, ratio=False),
    # startup, with 30 plugins
    "help_vs_none": _less(1, noise=0.05),
    "plugins_added_ms": _less(200, ratio=False),
    # tui
    "help_s": _less(0.5, ratio=False),
    "first_paint_s": _less(1, ratio=False),
    "key_p99_ms": _less(50, ratio=False),
    "key_idle_p99_ms": _less(50, ratio=False),
    "key_streaming_p99_ms": _less(50, ratio=False),
    "key_study_p99_ms": _less(50, ratio=False),
    # codecs: of i8h64, but the last
    "codec_bits": _less(8.3, noise=0.01),
    "codec_kl": _less(1e-4, noise=2e-5),
    "codec_same_top": _more(0.995, noise=0.002),
    "codec_bytes_vs_json": _more(15),
    "codec_zstd_ratio": _more(1.4, noise=0.05),
    # stick, means over the cases
    "stick": _more(0.85, noise=0.05),
    "leak": _less(noise=0.05),
    "opposite_lost": _less(0.05, noise=0.05),
    "kl_kept": _less(0.05, noise=0.01),
    "kl_neutral": _less(0.02, noise=0.005),
    "neutral_loss_rise": _less(0.02, noise=0.005),
    "accepted": _more(noise=0.05),
    "seconds": _less(120, ratio=False),
}
"""The one place where it says what is wanted, by the name of the figure."""


@dataclass(frozen=True)
class Change:
    """A figure before and now; ``before`` is None where it was not measured then."""

    bench: str
    label: str
    before: float | None
    now: float
    worse: bool

    @property
    def ratio(self) -> float | None:
        """Now over before; None where there is none."""
        return self.now / self.before if self.before else None


def name_of(row: Row) -> str:
    """Return the name under which a row's figure is known in ``FIGURES``."""
    return str(row["name"])


def label_of(row: Row) -> str:
    """Return what tells a row's figure from the others of its benchmark."""
    return f"{row['name']}, {row['prompt']} tokens" if "prompt" in row else str(row["name"])


def measured(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with one value each; the means of the learning cases become such rows."""
    found: list[Row] = []
    for row in rows:
        if row.get("summary"):
            means = dict(row)
            if "opposite" in row and "opposite_base" in row:
                means["opposite_lost"] = row["opposite_base"] - row["opposite"]
            found += [{"name": name, "value": means[name]} for name in FIGURES if name in means]
        elif "name" in row and row.get("value") is not None:
            found.append(row)
    return found


def compare(bench: str, before: Sequence[Row], now: Sequence[Row]) -> list[Change]:
    """Return how the figures of a benchmark changed; only those without a dimension can be worse."""
    old = {label_of(row): float(row["value"]) for row in measured(before)}
    changes = []
    for row in measured(now):
        value, was = float(row["value"]), old.get(label_of(row))
        figure = FIGURES.get(name_of(row))
        worse = figure is not None and figure.ratio and was is not None and figure.worse(was, value)
        changes.append(Change(bench, label_of(row), was, value, worse))
    return changes


def number(value: float) -> str:
    """Return a value in three digits that say something."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 if abs(value) >= 0.1 else 3 if abs(value) >= 0.001 else 5
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.1f}"


def comparison(changes: Sequence[Change]) -> str:
    """Return the changes as a table in plain text."""
    rows = [("figure", "before", "now", "change")]
    for change in changes:
        ratio = change.ratio
        said = "new" if change.before is None else "-" if ratio is None else f"{ratio - 1:+.0%}"
        before = "-" if change.before is None else number(change.before)
        mark = "  worse" if change.worse else ""
        rows.append((f"{change.bench}: {change.label}", before, number(change.now), said + mark))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip() for row in rows]
    return "\n".join(lines)
