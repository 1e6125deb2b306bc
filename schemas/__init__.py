"""The formats and typed records that others may rely on. Imports nothing else of the project."""
