"""What a candidate must pass before it becomes current."""
