"""What answers and what learns. No terminal in here; torch is imported by the rooms that need it, when they need it."""
