"""What a reply costs on the way to a provider elsewhere, in as many words as there is room for."""

from __future__ import annotations

from ..schemas.providers import TrafficFacts
from .safe_text import one_line


def traffic_words(traffic: TrafficFacts, room: int) -> str:
    """Return the line, at most ``room`` cells of it: first where and how fast, then what is left out first."""
    parts = [
        f"⇄ {one_line(traffic.provider, 24)} {traffic.tokens_per_second:.1f} tok/s",
        f"{_bytes(traffic.bytes_per_token)}/tok",
        *([] if traffic.agreement is None else [f"{traffic.agreement:.0%} agreed"]),
        f"{traffic.saved} trips saved",
    ]
    said = parts[0]
    for part in parts[1:]:
        if len(said) + 3 + len(part) > room:
            break
        said += f" · {part}"
    return said[: max(0, room)]


def _bytes(count: float) -> str:
    return f"{count:.0f} B" if count < 1000 else f"{count / 1000:.1f} kB"
