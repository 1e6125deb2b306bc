"""The tiny models of ``nightschool.testing``, under the name that the tests know."""

from nightschool.testing.tiny import FAMILIES, TEMPLATE, VOCABULARY, save_tiny, tiny, tiny_tokenizer

__all__ = ["FAMILIES", "TEMPLATE", "VOCABULARY", "save_tiny", "tiny", "tiny_tokenizer"]
