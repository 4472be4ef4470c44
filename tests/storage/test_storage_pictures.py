"""Pictures of strangers: read as RGB, or refused by name; nothing else ever."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from llmrec.errors import InputError
from llmrec.storage.pictures import read_picture


def packed(form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, form, **options)
    return buffer.getvalue()


WHOLE = {form: packed(form) for form in ("PNG", "JPEG", "WEBP", "BMP")}


def test_see_through_lies_over_white_and_exif_turns(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    exif = Image.Exif()
    exif[274] = 6  # turned a quarter
    Image.new("RGB", (4, 2)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").size == (2, 4)


def test_over_the_limit_another_format_and_no_file_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (11, 10)).save(tmp_path / "big.png")
    with pytest.raises(InputError, match=r"big\.png: 11 × 10 pixels are over the limit"):
        read_picture(tmp_path / "big.png", max_pixels=109)
    assert read_picture(tmp_path / "big.png", max_pixels=110).size == (11, 10)
    Image.new("RGB", (2, 2)).save(tmp_path / "dressed.png", "TIFF")
    with pytest.raises(InputError, match="cannot be read as a picture"):
        read_picture(tmp_path / "dressed.png")
    with pytest.raises(InputError, match="no such file"):
        read_picture(tmp_path / "gone.png")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="no such file"):
        read_picture(tmp_path / "pipe.png")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 3000), st.integers(1, 255), st.floats(0, 1))
def test_damaged_pictures_are_read_or_refused(tmp_path: Path, form: str, place: int, flip: int, keep: float) -> None:
    data = bytearray(WHOLE[form])
    data[place % len(data)] ^= flip
    path = tmp_path / "damaged"
    path.write_bytes(data[: max(1, round(keep * len(data)))])
    try:
        assert read_picture(path).mode == "RGB"
    except InputError as error:
        assert "damaged" in error.message
