"""Render the sample clips: ``python examples/make/render.py [CLIP...]`` writes ``examples/media``.

The rendered files are committed: only those who change a clip need this. Beyond the extra ``video`` it wants flite
(English narration) and espeak-ng (the German one); the pictures, the music and the noises are drawn and worked out by
the modules beside it. What happens in a clip is written in ``clips.yaml``.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml
from sound import RATE, Sound, beneath, say
from stage import frames

HERE = Path(__file__).parent
FPS = 20
SIZES = {"landscape": (854, 480), "portrait": (480, 854)}
# container to codecs and their settings, sized for a repository
CODECS: dict[str, tuple[str, dict[str, str], str]] = {
    ".mp4": ("libx264", {"crf": "25", "preset": "slow", "movflags": "+faststart"}, "aac"),
    ".mkv": ("libx264", {"crf": "25", "preset": "slow"}, "aac"),
    ".webm": ("libvpx-vp9", {"crf": "34", "b": "0", "cpu-used": "3"}, "libopus"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="names in clips.yaml; all of them when none is given")
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "media")
    arguments = parser.parse_args()
    clips = yaml.safe_load((HERE / "clips.yaml").read_text(encoding="utf-8"))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.clips or clips:
        path = render(clips[name], arguments.output)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def render(clip: dict[str, Any], folder: Path) -> Path:
    """Write one clip; its length is that of its narration, or ``seconds`` where nobody speaks."""
    sound = soundtrack(clip)
    seconds = len(sound) / RATE
    path = folder / clip["file"]
    codec, options, audio_codec = CODECS[path.suffix]
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    container_options = {"movflags": options["movflags"]} if "movflags" in options else {}
    with av.open(str(partial), "w", options=container_options) as container:
        container.metadata["comment"] = "Made by examples/make/render.py of llmrec; Apache-2.0"
        video = container.add_stream(codec, rate=FPS)
        video.width, video.height = SIZES[clip.get("shape", "landscape")]
        video.pix_fmt = "yuv420p"
        video.options = {name: value for name, value in options.items() if name != "movflags"}
        audio = container.add_stream(audio_codec, rate=48_000 if audio_codec == "libopus" else RATE, layout="mono")
        audio.bit_rate = 48_000
        for image in _pictures(clip, round(seconds * FPS), (video.width, video.height)):
            container.mux(video.encode(av.VideoFrame.from_image(image)))
        container.mux(video.encode(None))
        _write_sound(container, audio, sound)
    partial.replace(path)
    return path


def soundtrack(clip: dict[str, Any]) -> Sound:
    """Narration with pauses over music or noise."""
    pieces = [np.zeros(round(0.5 * RATE), np.float32)]
    for line in clip.get("say", []):
        if isinstance(line, int | float):
            pieces.append(np.zeros(round(line * RATE), np.float32))
        else:
            pieces += [say(line, clip["voice"], pace=clip.get("pace", 1.05)), np.zeros(round(0.25 * RATE), np.float32)]
    pieces.append(np.zeros(round(0.6 * RATE), np.float32))
    speech = np.concatenate(pieces) if clip.get("say") else np.zeros(round(clip["seconds"] * RATE), np.float32)
    return (
        speech
        + clip.get("volume", 1.0) * beneath(clip["beneath"], len(speech) / RATE, seed=len(clip["file"]))[: len(speech)]
    )


def _pictures(clip: dict[str, Any], count: int, size: tuple[int, int]):
    scenes = clip["scenes"]
    ends = [round(count * scene.get("until", 1.0)) for scene in scenes]
    for scene, start, end in zip(scenes, [0, *ends], ends, strict=False):
        scene = {**scene, "words": [*scene.get("words", []), *clip.get("overlay", [])]}
        yield from frames(scene, size, end - start)


def _write_sound(container: Any, stream: Any, sound: Sound) -> None:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
    written = 0
    for start in range(0, len(sound), RATE):
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + RATE], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, written, Fraction(1, RATE)
        written += frame.samples
        for piece in resampler.resample(frame):
            container.mux(stream.encode(piece))
    for piece in resampler.resample(None):
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
