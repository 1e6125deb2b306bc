"""Readers of chat exports, one file a service."""
