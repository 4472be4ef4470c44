"""Makes ``spoken.ogg``: espeak-ng says one sentence over a soft chord. Run it in this folder: python make_spoken.py"""

from __future__ import annotations

import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SENTENCE = "This is a blue coffee grinder. It has a steel handle and a glass jar."


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", str(spoken), SENTENCE], check=True)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000)
        with av.open(str(spoken)) as source:
            parts = [p.to_ndarray()[0] for f in source.decode(audio=0) for p in resampler.resample(f)]
    voice = np.concatenate([np.zeros(48_000, np.float32), 0.8 * np.concatenate(parts), np.zeros(24_000, np.float32)])
    at = np.arange(len(voice)) / 48_000
    chord = sum(0.01 * np.sin(2 * np.pi * hertz * at) for hertz in (220.0, 277.2, 329.6))
    samples = (voice + chord).astype(np.float32)
    with av.open("spoken.ogg", "w") as out:
        stream = out.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = 24_000
        for start in range(0, len(samples), 960):
            part = samples[start : start + 960]
            part = np.pad(part, (0, 960 - len(part)))
            frame = av.AudioFrame.from_ndarray(part[None, :], format="flt", layout="mono")
            frame.rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    main()
