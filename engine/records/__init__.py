"""The database: conversations, messages, signals, lessons, studies."""
