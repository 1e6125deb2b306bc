"""Registries: a folder that is a static web site too, kept by whoever holds its keys and read by anybody."""
