"""What the commands do, grouped as the help screen groups them."""
