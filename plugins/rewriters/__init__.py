"""What an edit does to a reply, said, applied and checked."""
