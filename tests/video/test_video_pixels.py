"""Decoded frames as a person would see them: colours, HDR, transparency, interlacing."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec.video.pixels import HLG, KEPT_SIDE, PQ, Seen, tone, without_combs


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)):
    import av

    width, height = size
    return av.VideoFrame.from_ndarray(np.full((height, width, 3), colour, np.uint8), format="rgb24")


def pq(nits: float) -> float:
    """Signal of PQ, 0 to 1, for a luminance (ITU-R BT.2100)."""
    y = (nits / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


@pytest.mark.parametrize(
    ("curve", "signal", "expected"),
    [
        (PQ, pq(0), 0),
        # a fifth of paper white: linear 0.2, below the knee, is sRGB 1.055 * 0.2 ** (1 / 2.4) - 0.055 = 0.4845
        (PQ, pq(203 / 5), 124),
        # paper white: 1 - 0.3 / e = 0.8896 is sRGB 0.9497
        (PQ, pq(203), 242),
        (PQ, pq(10_000), 255),
        (HLG, 0.0, 0),
        # by BT.2408 paper white is 75% of HLG
        (HLG, 0.75, 242),
        (HLG, 1.0, 255),
    ],
)
def test_hdr_greys_by_hand(curve: int, signal: float, expected: int) -> None:
    pixel = np.full((1, 1, 3), round(signal * 65535), np.uint16)
    assert np.abs(tone(pixel, curve).astype(int) - expected).max() <= 1


def test_hdr_colours_stay_what_they_are() -> None:
    # sRGB red of a tenth of paper white in BT.2020 light: the first column of the matrix of BT.2087
    light = np.array([0.6274, 0.0691, 0.0164]) * 0.1 * 203
    pixel = np.array([[[round(pq(part) * 65535) for part in light]]], np.uint16)
    red, green, blue = tone(pixel, PQ)[0, 0].astype(int)
    assert red == pytest.approx(89, abs=1) and green <= 4 and blue <= 4  # 1.055 * 0.1 ** (1 / 2.4) - 0.055 = 0.349


@pytest.mark.parametrize(("space", "name"), [(1, "ITU709"), (5, "ITU601"), (2, "ITU601")])
def test_colours_are_read_with_the_matrix_they_were_written_with(space: int, name: str) -> None:
    frame = flat((192, 48, 32)).reformat(format="yuv420p", dst_colorspace=name)
    frame.colorspace = space
    assert np.abs(np.asarray(Seen(frame).to_image())[20, 20].astype(int) - (192, 48, 32)).max() <= 4


def test_untagged_high_definition_is_709() -> None:
    frame = flat((192, 48, 32), (1280, 720)).reformat(format="yuv420p", dst_colorspace="ITU709")
    frame.colorspace = 2
    assert np.abs(np.asarray(Seen(frame).to_image())[20, 20].astype(int) - (192, 48, 32)).max() <= 4


def test_full_range_and_ten_bits() -> None:
    for format in ("yuvj420p", "yuv420p10le", "yuv444p", "gray", "nv12"):
        picture = np.asarray(Seen(flat((128, 128, 128)).reformat(format=format)).to_image())
        assert np.abs(picture.astype(int) - 128).max() <= 2, format


def test_what_is_see_through_is_white() -> None:
    import av

    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[:, :32] = (255, 0, 0, 255)
    picture = np.asarray(Seen(av.VideoFrame.from_ndarray(pixels, format="rgba")).to_image())
    assert picture[10, 10].tolist() == [255, 0, 0] and picture[10, 50].tolist() == [255, 255, 255]


def test_large_frames_are_kept_smaller() -> None:
    seen = Seen(flat((9, 9, 9), (4096, 2160)))
    assert max(seen.frame.width, seen.frame.height) == KEPT_SIDE and seen.to_image().size == (1920, 1012)


def test_combs_are_taken_out_and_still_parts_stay() -> None:
    still = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    assert (without_combs(still) == still).all()
    woven = np.full((64, 128, 3), 200, np.uint8)
    woven[0::2, 32:64] = 20  # a bar, and where it was a field later
    woven[1::2, 48:80] = 20
    drawn = without_combs(woven)
    expected = np.full((64, 128, 3), 200, np.uint8)
    expected[:, 32:64] = 20
    assert (drawn == expected).all()
