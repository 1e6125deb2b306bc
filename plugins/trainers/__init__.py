"""How examples become an adapter."""
