"""Zstandard over a batch of rows: values split by the significance of their bytes, at level 1 (more gains nothing).

All lowest bytes come first, then all second bytes, and so on; the sides before them stay in front. A single row gains
next to nothing, so it is used from ``MIN_ROWS`` on, and only where the result is smaller.
"""

from __future__ import annotations

import zstandard

from ....schemas.errors import BadFrame

MIN_ROWS = 16
_LEVEL = 1
_LEAST_WINDOW = 1 << 20


def squeeze(data: bytes, side: int, item: int) -> bytes | None:
    """Return ``data`` compressed, its first ``side`` bytes unsplit; None: that is not smaller."""
    small = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(_split(data, side, item))
    return small if len(small) < len(data) else None


def unsqueeze(data: bytes, side: int, item: int, size: int) -> bytes:
    """Return the ``size`` bytes that were compressed.

    Raises:
        BadFrame: If they are not just as many, told before anything is unpacked, or damaged.
    """
    try:
        announced = zstandard.get_frame_parameters(data).content_size
        if announced != size:
            raise BadFrame(f"The peer sent a compressed frame of {announced} bytes for {size}; do not use it.")
        reader = zstandard.ZstdDecompressor(max_window_size=max(size, _LEAST_WINDOW))
        whole = reader.decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadFrame(f"The peer sent a compressed frame that does not read ({error}); ask again.") from error
    if len(whole) != size:
        raise BadFrame(f"The peer sent a compressed frame of {len(whole)} bytes for {size}; do not use it.")
    return _joined(whole, side, item)


def _split(data: bytes, side: int, item: int) -> bytes:
    return data[:side] + b"".join(data[side + byte :: item] for byte in range(item))


def _joined(data: bytes, side: int, item: int) -> bytes:
    count = (len(data) - side) // item
    whole = bytearray(data)
    for byte in range(item):
        whole[side + byte :: item] = data[side + byte * count : side + (byte + 1) * count]
    return bytes(whole)
