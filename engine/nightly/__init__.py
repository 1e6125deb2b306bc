"""When the machine's own scheduler begins the night, and whether the machine may work. No torch, no database."""
