"""From tokens to text as they come: whole characters only, never half of one."""

from __future__ import annotations

from typing import Any

_HALF = "\N{REPLACEMENT CHARACTER}"  # what decoders put where bytes of a character are still missing


class Detokenizer:
    """Turns a stream of tokens into a stream of text whose sum is the decoding of all tokens.

    A token may hold part of a character, and its spelling may depend on the one before (a leading space). So the tokens
    since the last safe place are decoded together with what went before it, and only what is surely whole is given out.
    The scheme of a sliding window of two offsets is that of the text generation servers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._context = 0  # start of the tokens decoded again each time
        self._given = 0  # tokens before this have been given out
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """All text given out."""
        return "".join(self._text)

    def feed(self, token: int) -> str:
        """Take one more token and return the text that is now certain; often empty for scripts of many bytes."""
        self._tokens.append(token)
        known = self._decode(self._context, self._given)
        now = self._decode(self._context, len(self._tokens))
        if now.endswith(_HALF) or len(now) <= len(known):
            return ""
        self._context, self._given = self._given, len(self._tokens)
        return self._give(now[len(known) :])

    def flush(self) -> str:
        """Return what is left when no more tokens come; a character that was never finished is left out."""
        known = self._decode(self._context, self._given)
        rest = self._decode(self._context, len(self._tokens))[len(known) :]
        self._given = self._context = len(self._tokens)
        return self._give(rest.rstrip(_HALF))

    def _decode(self, start: int, stop: int) -> str:
        text: str = self._tokenizer.decode(
            self._tokens[start:stop], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _give(self, text: str) -> str:
        self._text.append(text)
        return text
