"""Ways to make one adapter of several."""
