"""Adapters from the Hugging Face hub, and versions to it. Loads without torch."""
