"""What the frames of a content look like: their vectors, and one ranking from the rankings of several frames.

The vectors that watching left are used where they are by the index's own image encoder; else frames that can be read
are encoded now; else the pictures are left out, which is said once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from llmrec.errors import InputError
from llmrec.records import Content, Hit, Keyframe
from llmrec.seams import ImageEncoder
from llmrec.storage.pictures import SIDE, read_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

logger = logging.getLogger(__name__)

#: Frames read and encoded at a time: a stream of hours has thousands.
BATCH = 32
#: Frames that speak for a product, the best of them: their mean is its score. One frame is easily taken in; more than
#: a few ask that a product be in sight all the time.
POOLED = 3
#: A frame shows a product when it is among the first so many that the frame finds …
SHOWN_RANK = 3
#: … and its score is at least this share of the first's.
SHOWN_SHARE = 0.8


@runtime_checkable
class Pictured(Protocol):
    """What an index with product pictures adds to one without."""

    image_encoder: ImageEncoder | None

    @property
    def has_pictures(self) -> bool: ...

    @property
    def image_digest(self) -> str: ...

    def search_pictures(self, vectors: NDArray[np.float32], k: int, *, where: str | None = None) -> list[list[Hit]]: ...


class FrameSearch:
    """Searches the frames of contents in the pictures of an index.

    Args:
        index: The index; one without pictures, or of another kind, finds nothing.
    """

    def __init__(self, index: object) -> None:
        self._index = index if isinstance(index, Pictured) and index.has_pictures else None
        self._told = False

    def search(
        self, content: Content, k: int, folder: str | Path = ".", where: str | None = None
    ) -> list[tuple[Keyframe, list[Hit]]]:
        """Find the products that look like each frame.

        Args:
            content: With keyframes; their paths start from ``folder``.
            k: Products per frame.
            folder: Of the contents file.
            where: Only products that fit this filter are found; None: all.

        Returns:
            The frames that have a vector or can be read, in order of time, each with its hits best first.
        """
        if self._index is None or not content.keyframes:
            return []
        frames, vectors = self._vectors(content, Path(folder), self._index)
        if not frames:
            return []
        try:
            found = self._index.search_pictures(vectors, k, where=where)
        except InputError as error:
            self._tell(f"content {content.id!r}: {error.message}")
            return []
        return sorted(zip(frames, found, strict=True), key=lambda pair: pair[0].time)

    def _vectors(self, content: Content, folder: Path, index: Pictured) -> tuple[list[Keyframe], NDArray[np.float32]]:
        ready = [frame for frame in content.keyframes if frame.vector]
        if ready and content.image_encoder == index.image_digest:
            lengths = {len(frame.vector) for frame in ready}
            if len(lengths) == 1 and not lengths.pop() % 2:
                vectors = [np.frombuffer(frame.vector, "<f2").astype(np.float32) for frame in ready]
                return ready, np.stack(vectors)
            self._tell(f"content {content.id!r}: the vectors of its keyframes are damaged")
        if index.image_encoder is None:
            self._tell("the index was opened without its image encoder")
            return [], np.zeros((0, 0), np.float32)
        frames, vectors = [], []
        named = [frame for frame in content.keyframes if frame.path]
        for start in range(0, len(named), BATCH):
            read = [
                (frame, picture) for frame in named[start : start + BATCH] if (picture := self._read(folder, frame))
            ]
            if read:
                frames += [frame for frame, _ in read]
                vectors.append(index.image_encoder.encode_images([picture for _, picture in read]))
        return frames, np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)

    def _read(self, folder: Path, frame: Keyframe) -> Image | None:
        try:
            picture = read_picture(folder / frame.path)
        except InputError as error:
            self._tell(error.message)
            return None
        picture.thumbnail((SIDE, SIDE))
        return picture

    def _tell(self, reason: str) -> None:
        if not self._told:
            logger.warning("frames are not compared with product pictures where that cannot be done: %s", reason)
        self._told = True


def pool(frames: Sequence[Sequence[Hit]], best: int = POOLED) -> list[Hit]:
    """One ranking from those of several frames: of each product the mean of its best frames.

    Args:
        frames: Hits of each frame, best first; a product that a frame did not find has the lowest score it gave.
        best: Frames that are counted, or all there are if fewer.

    Returns:
        Every product found, best first, ties broken by id; each by the retriever of its best frame.
    """
    frames = [hits for hits in frames if hits]
    if not frames:
        return []
    floors = np.array([hits[-1].score for hits in frames])
    scores: dict[str, NDArray[np.float64]] = {}
    top: dict[str, Hit] = {}
    for number, hits in enumerate(frames):
        for hit in hits:
            scores.setdefault(hit.product_id, floors.copy())[number] = hit.score
            top[hit.product_id] = max(hit, top.get(hit.product_id, hit), key=lambda hit: hit.score)
    count = min(best, len(frames))
    pooled = [Hit(id, float(np.sort(own)[-count:].mean()), top[id].retriever) for id, own in scores.items()]
    return sorted(pooled, key=lambda hit: (-hit.score, hit.product_id))


def showing(frames: Sequence[tuple[Keyframe, Sequence[Hit]]]) -> Mapping[str, list[tuple[Keyframe, Hit]]]:
    """The frames that show each product, the likest first: it is among the first that they find, and close to it."""
    found: dict[str, list[tuple[Keyframe, Hit]]] = {}
    for frame, hits in frames:
        for hit in hits[:SHOWN_RANK]:
            if hit.score > 0 and hit.score >= SHOWN_SHARE * hits[0].score:
                found.setdefault(hit.product_id, []).append((frame, hit))
    return {id: sorted(pairs, key=lambda pair: -pair[1].score) for id, pairs in found.items()}
