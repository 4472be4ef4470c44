"""Keyframes in words: what a vision-language model says of them, as timed text of source ``vision``.

::

    for content in captioned(contents, load_captioner("openai:MODEL@http://localhost:8000/v1"), folder="."):
        ...                                 # TimedText(3.2, 5.6, "a yellow box of Camprodon biscuits", "vision")
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from llmrec.errors import InputError
from llmrec.records import Content, TimedText
from llmrec.seams import Captioner
from llmrec.storage import Ledger, fingerprint, read_picture

logger = logging.getLogger(__name__)


def captioned(
    contents: Iterable[Content],
    captioner: Captioner,
    *,
    folder: str | Path = ".",
    target: str | Path | None = None,
    resume: bool = True,
) -> Iterator[Content]:
    """Contents with captions of their keyframes, in order.

    Args:
        contents: With keyframes that were saved; others go through as they are.
        captioner: See ``llmrec.seams.Captioner``.
        folder: Where relative paths of keyframes start.
        target: What is being made of the contents; a ledger lies beside it, so that a second run asks only about what
            is new. None: no ledger.
        resume: False forgets what an earlier run was told.

    Raises:
        GenerationError: The model or its server failed after retries.
    """
    if target is None:
        yield from (caption_keyframes(content, captioner, folder) for content in contents)
        return
    path = Path(target)
    beside = path.with_name(f"{path.name}.captions")
    with Ledger(beside, Content, captioner.digest, resume=resume) as ledger:
        for content in contents:
            key = fingerprint(content)
            if key not in ledger.done:
                ledger.add(key, caption_keyframes(content, captioner, folder))
            yield ledger.done[key]


def caption_keyframes(content: Content, captioner: Captioner, folder: str | Path = ".") -> Content:
    """A content with what a model says of its keyframes; earlier captions of source ``vision`` are replaced.

    One caption of several keyframes in a row is one piece, from the first to the last; keyframes that cannot be read
    are logged and left out.

    Raises:
        GenerationError: The model or its server failed after retries.
    """
    times, pictures = [], []
    for frame in sorted(content.keyframes, key=lambda frame: frame.time):
        if not frame.path:
            continue
        try:
            pictures.append(read_picture(Path(folder) / frame.path))
            times.append(frame.time)
        except InputError as error:
            logger.warning("%s: %s", content.id, error.message)
    pieces: list[TimedText] = []
    for time, text in zip(times, captioner.caption(pictures) if pictures else [], strict=True):
        if pieces and pieces[-1].text == text and text:
            pieces[-1] = TimedText(pieces[-1].start, time, text, "vision")
        else:  # an empty one ends the one before
            pieces.append(TimedText(time, time, text, "vision"))
    kept = [piece for piece in content.timed_text if piece.source != "vision"]
    timed = sorted([*kept, *(piece for piece in pieces if piece.text)], key=lambda piece: (piece.start, piece.end))
    return msgspec.structs.replace(content, timed_text=tuple(timed))
