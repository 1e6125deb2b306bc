"""Plugins of others: found, decided about, loaded, called one at a time, and kept."""
