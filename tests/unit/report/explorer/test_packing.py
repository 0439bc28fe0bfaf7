"""Packed arrays: the same bytes each time, and what they hold when unpacked by hand."""

import base64
import gzip

import numpy as np
import pytest

from pipeline.report.explorer.packing import pack, pack_levels, quantise_steps


def unpacked(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text))


def test_an_array_is_packed_in_c_order_little_endian():
    array = np.array([[1, 2], [3, 4]], dtype=">f4").T
    assert unpacked(pack(array)) == np.array([1, 3, 2, 4], dtype="<f4").tobytes()


def test_the_same_array_gives_the_same_text_at_any_time(monkeypatch: pytest.MonkeyPatch):
    array = np.arange(100, dtype=np.uint8)
    first = pack(array)
    monkeypatch.setattr("time.time", lambda: 12345.0)
    assert pack(array) == first


def test_two_levels_share_a_byte_the_first_one_high():
    assert unpacked(pack_levels(np.array([[1, 15], [0, 7]], dtype=np.uint8))) == bytes([0x1F, 0x07])
    assert unpacked(pack_levels(np.array([3, 2, 1], dtype=np.uint8))) == bytes([0x32, 0x10])


def test_changes_are_counted_in_steps_of_their_head():
    whole, steps = quantise_steps(np.array([[[1.27, -0.64]], [[0.0, 0.0]]]))
    assert whole.tolist() == [[[127, -64]], [[0, 0]]]
    np.testing.assert_allclose(steps, [0.01, 0.0])
