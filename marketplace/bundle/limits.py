"""How large anything in a bundle may be."""

KIB, MIB = 1 << 10, 1 << 20

BUNDLE = 512 * MIB
RAW = 512 * MIB
"""Of all files together, unpacked."""
MANIFEST = 256 * KIB
LISTING = 257 * KIB
"""As much of the beginning is enough to list a bundle."""
FILES = 8
CARD = 64 * KIB
CONFIG = 64 * KIB
METRICS = 256 * KIB
HEADER = MIB
"""Of the weights."""
TENSORS = 8192
NAME = 256
TARGETS = 16
"""So many names of projections."""
TARGET = 60
"""Letters of each."""
RANK = 256
SCALE = 64.0
"""The largest factor on an update: alpha / r, or alpha / sqrt(r)."""
WINDOW = 8 * MIB
CHUNK = MIB
"""How much is read at once."""
