"""A cut to which the encoder gave no keyframe, decoded without the seconds that lie before it.

Nine seconds after a keyframe the picture changes whole: nearly all blocks of that packet are coded in themselves
(intra), so that decoded over the keyframe alone they are right. FFmpeg's H.264 decoder tells which blocks were moved
from pictures that were passed over instead; where they are more than a few the packet is not used. Two packets are
decoded instead of two hundred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

#: Decoders that put the last picture in the place of a missing one and tell the blocks that were moved.
DECODERS = frozenset(("h264",))
#: Share of the picture that must be coded in itself.
LEAST_NEW = 0.95
#: Side of a block in pixels.
BLOCK = 8


def decode_alone(context: VideoCodecContext, key: Packet, packet: Packet) -> VideoFrame | None:
    """Decode a packet over its keyframe.

    Args:
        context: The stream's decoder; a second one like it is used.
        key: The keyframe before it.
        packet: The packet.

    Returns:
        The picture, None if too much of it was moved from pictures that are missing.
    """
    import av
    from av.codec.context import Flags2

    if packet.pts is None:
        return None
    other = av.codec.CodecContext.create(context.codec.name, "r")
    assert isinstance(other, av.video.codeccontext.VideoCodecContext)
    other.extradata, other.thread_count = context.extradata, 1
    other.flags2 |= int(Flags2.export_mvs)
    frames: list[VideoFrame] = []
    try:
        for part in (key, packet, None):
            frames += other.decode(part)
    except (av.error.FFmpegError, ValueError):
        return None
    after = next((frame for frame in frames if frame.pts == packet.pts), None)
    if after is None:
        return None
    parts: list[Any] = list(after.side_data)
    moved = next((part for part in parts if part.type.name == "MOTION_VECTORS"), None)
    vectors = None if moved is None else moved.to_ndarray()
    return after if new_blocks(vectors, after.width, after.height).mean() >= LEAST_NEW else None


def new_blocks(moved: Any, width: int, height: int) -> NDArray[np.bool_]:
    """Which blocks of a picture were not moved from another.

    Args:
        moved: FFmpeg's motion vectors: fields ``w``, ``h``, ``dst_x``, ``dst_y`` (middle of the block) in pixels.
        width, height: Of the picture, in pixels.

    Returns:
        ``[height / 8, width / 8]``, rounded up; a block amid new ones counts as new.
    """
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    new = np.ones((rows + 2, columns + 2), bool)
    for w, h in () if moved is None else np.unique(np.stack([moved["w"], moved["h"]], 1), axis=0):
        some = moved[(moved["w"] == w) & (moved["h"] == h)]
        left, top = (some["dst_x"] - w // 2) // BLOCK, (some["dst_y"] - h // 2) // BLOCK
        for down in range(max(1, h // BLOCK)):
            for right in range(max(1, w // BLOCK)):
                new[np.clip(top + down, 0, rows + 1), np.clip(left + right, 0, columns + 1)] = False
    new = np.pad(new[:rows, :columns], 2, mode="edge")
    around = sum(new[y : y + rows, x : x + columns].astype(np.int8) for y in range(5) for x in range(5))
    # a hole amid new ones was copied from what is new
    return np.asarray(around) > 12
