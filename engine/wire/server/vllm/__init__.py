"""A server of ours whose trunk is vLLM: it computes in a process of its own, and hands its rows over a local socket."""

from __future__ import annotations

from pathlib import Path


def connector_file() -> Path:
    """Return the file of the connector, which runs in vLLM's environment and is never imported here."""
    return Path(__file__).parent / "connector.py"
