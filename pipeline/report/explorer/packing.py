"""Arrays as text in JSON and back: base64 of gzip of their bytes; four-bit levels two in a byte."""

import base64
import gzip

import numpy as np

COMPRESSION = 9


def pack(array: np.ndarray) -> str:
    """Base64 of gzip of the array's bytes, C order, little-endian; without a time, so the same array gives the same."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(gzip.compress(little.tobytes(), COMPRESSION, mtime=0)).decode("ascii")


def unpack(text: str, dtype: type[np.generic]) -> np.ndarray:
    """The array that was packed, flat."""
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), np.dtype(dtype).newbyteorder("<"))


def pack_levels(levels: np.ndarray) -> str:
    """`pack` of levels 0 to 15, two in a byte, the first one in the higher half; a last one alone is followed by 0."""
    flat = levels.ravel()
    even = np.append(flat, np.zeros(len(flat) % 2, np.uint8)).astype(np.uint8)
    return pack(even[0::2] << 4 | even[1::2])


def quantise_steps(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Changes [head, ...] as int8 in steps of each head's own, the largest change being 127 of them.

    Returns:
        The whole numbers of steps, int8 [head, ...], and the steps, float64 [head]; 0 of a head that changes nothing.
    """
    steps = np.abs(changes.reshape(len(changes), -1)).max(axis=1, initial=0).astype(np.float64) / 127
    divisors = np.where(steps > 0, steps, 1).reshape(-1, *[1] * (changes.ndim - 1))
    return np.rint(changes / divisors).astype(np.int8), steps
