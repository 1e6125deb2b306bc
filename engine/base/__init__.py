"""Base models: where they are, what they are (cards), how they load, and the cut."""
