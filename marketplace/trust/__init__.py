"""Who is believed: publishers and their changing keys, what of them was revoked, and what this profile remembers."""
