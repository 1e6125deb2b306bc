"""The database: conversations, messages, signals, lessons, studies. Knows nothing of models or terminals."""

from .facade import Records

__all__ = ["Records"]
