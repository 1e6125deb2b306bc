"""Who turns token ids into hidden states."""
