"""Where a slot's lessons apply."""
