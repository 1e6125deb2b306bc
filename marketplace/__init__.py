"""Sharing between people who need not trust each other: bundles, signatures, publishers, registries. Never torch."""
