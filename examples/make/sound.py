"""Narration and what lies beneath it, as float32 mono at 44,100 Hz.

Speech comes from flite (Carnegie Mellon's voices, free to use and pass on) for English and from espeak-ng for the
rest; the music and the noises are worked out here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 44_100
Sound = NDArray[np.float32]


def say(text: str, voice: str, *, pace: float = 1.05) -> Sound:
    """One sentence in a voice: ``slt``, ``rms`` or ``awb`` of flite, anything else an espeak-ng voice (``de``).

    ``pace`` stretches the speech: 1.1 is a tenth slower.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        if voice in {"slt", "rms", "awb"}:
            program = _program("flite", "FLITE", "Install it (Debian: apt install flite) or set FLITE to its path.")
            command = [program, "-voice", voice, "--setf", f"duration_stretch={pace}", "-t", text, "-o", str(file)]
        else:
            program = _program("espeak-ng", "ESPEAK", "Install it (Debian: apt install espeak-ng).")
            command = [program, "-v", voice, "-s", str(round(150 / pace)), "-g", "2", "-w", str(file), text]
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(file)) as source:
            rate = source.getframerate()
            sound = np.frombuffer(source.readframes(source.getnframes()), np.int16).astype(np.float32) / 32768
    places = np.arange(0, len(sound) - 1, rate / RATE)
    sound = np.interp(places, np.arange(len(sound)), sound).astype(np.float32)
    loud = np.sqrt(np.mean(sound[np.abs(sound) > 0.01] ** 2))
    return np.clip(sound * (0.14 / max(loud, 1e-4)), -0.95, 0.95)


def _program(name: str, variable: str, remedy: str) -> str:
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not installed. {remedy}")
    return found


def beneath(kind: str, seconds: float, seed: int) -> Sound:
    """Music (``plucks``, ``pads``, ``beat``) or noise (``room``, ``street``, ``crowd``) to lie under the speech."""
    chance = np.random.default_rng(seed)
    count = round(seconds * RATE)
    sound = (MUSIC.get(kind) or _noise(kind))(count, chance)
    edge = np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.4 * RATE)
    return (sound * np.clip(edge, 0, 1)).astype(np.float32)


CHORDS = ((0, 4, 7, 11), (9, 12, 16, 19), (5, 9, 12, 16), (7, 11, 14, 17))


def _tone(semitone: float) -> float:
    return 220.0 * 2 ** (semitone / 12)


def _plucks(count: int, chance: np.random.Generator) -> Sound:
    sound, step = np.zeros(count, np.float32), round(0.27 * RATE)
    time = np.arange(round(1.2 * RATE)) / RATE
    for place, start in enumerate(range(0, count, step)):
        tone = _tone(CHORDS[place // 8 % 4][chance.integers(4)] + 12 * (place % 3 == 0))
        note = np.sin(2 * np.pi * tone * time) + 0.4 * np.sin(4 * np.pi * tone * time)
        note *= np.exp(-5 * time) * chance.uniform(0.6, 1)
        end = min(count, start + len(note))
        sound[start:end] += note[: end - start]
    return 0.022 * sound


def _pads(count: int, chance: np.random.Generator) -> Sound:
    time = np.arange(count) / RATE
    sound = np.zeros(count, np.float32)
    for place, chord in enumerate(CHORDS * (1 + count // (8 * RATE * 4))):
        swell = np.exp(-(((time - 2.2 * place - 1.1) / 1.2) ** 2))
        for semitone in chord[:3]:
            tone = _tone(semitone - 12) * (1 + 0.002 * chance.standard_normal())
            sound += swell * (np.sin(2 * np.pi * tone * time) + 0.3 * np.sin(4 * np.pi * tone * time))
    return 0.018 * sound


def _beat(count: int, chance: np.random.Generator) -> Sound:
    sound = 1.1 * _plucks(count, chance)
    time = np.arange(round(0.25 * RATE)) / RATE
    kick = np.sin(2 * np.pi * (50 * time + 6 * (1 - np.exp(-30 * time)))) * np.exp(-14 * time)
    hat = chance.standard_normal(len(time)) * np.exp(-70 * time)
    for place, start in enumerate(range(0, count - len(time), round(0.27 * RATE))):
        sound[start : start + len(time)] += (0.05 * kick if place % 2 == 0 else 0.008 * hat).astype(np.float32)
    return sound


MUSIC: dict[str, Callable[[int, np.random.Generator], Sound]] = {"plucks": _plucks, "pads": _pads, "beat": _beat}
#: Lowest and highest frequency of a noise, and how deep it swells.
NOISE = {"room": (60, 900, 0.1), "street": (40, 1800, 0.5), "crowd": (200, 2600, 0.6)}


def _noise(kind: str) -> Callable[[int, np.random.Generator], Sound]:
    low, high, swell = NOISE[kind]

    def noise(count: int, chance: np.random.Generator) -> Sound:
        spectrum = np.fft.rfft(chance.standard_normal(count))
        tones = np.fft.rfftfreq(count, 1 / RATE)
        spectrum *= np.exp(-((np.log(np.maximum(tones, 1) / np.sqrt(low * high)) / np.log(high / low) * 2) ** 2))
        sound = np.fft.irfft(spectrum, count)
        knots = max(4, count // 9000)
        slow = np.interp(np.arange(count), np.linspace(0, count, knots), chance.uniform(1 - swell, 1, knots))
        return (0.012 * sound / sound.std() * slow).astype(np.float32)

    return noise
