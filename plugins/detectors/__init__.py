"""What in a chat is a correction."""
