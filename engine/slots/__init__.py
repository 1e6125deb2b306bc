"""Slots, their versions, and adapters as standard PEFT files."""
