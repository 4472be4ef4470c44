"""Pictures of strangers, read safely: a few formats, a limit on pixels, every fault an ``InputError``.

``read_picture("mug.jpg")`` gives the photo as RGB, upright, over white where it is see-through.
"""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from llmrec.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Formats that Pillow reads here; the rest of its readers stay closed to files of strangers.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")

#: Largest picture that is decoded, width × height.
MAX_PIXELS = 40_000_000

#: Longer side in pixels to which a picture is shrunk before it is encoded: no image tower looks closer.
SIDE = 1024

#: What Pillow's readers raise on damaged files.
_DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, struct.error),
    *(LookupError, TypeError, ArithmeticError, AttributeError),
)


def read_picture(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a picture as RGB, turned as its EXIF data say.

    Raises:
        InputError: No such file, not such a picture, damaged, or larger than ``max_pixels``; names the file.
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("reading pictures", "video") from error
    # a pipe or a device would be waited for, or read without end
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file", next_step="Check the path.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    reason = f"{image.width} × {image.height} pixels are over the limit"
                    raise InputError(f"{path}: {reason}", next_step="Scale the picture down, or raise max_pixels.")
                return flat(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        step = "Scale the picture down."
        raise InputError(f"{path}: is far larger than a photo ({error})", next_step=step) from error
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path}: cannot be read as a picture ({reason})", next_step="Save it anew.") from error


def flat(image: Image) -> Image:
    """RGB over white, as a shop would show a cut-out product."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    from PIL import Image as images

    clear = image.convert("RGBA")
    ground = images.new("RGBA", clear.size, "white")
    return images.alpha_composite(ground, clear).convert("RGB")
