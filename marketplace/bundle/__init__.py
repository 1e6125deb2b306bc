"""A version of a slot in one signed file, ``NAME-VERSION.slot``: docs/bundle.md says every byte of it."""
