"""How fast the frames to look at are found, beside other ways to read a video; memory; and what is missed.

    python eval/watch_speed.py [--repeats 5] [--decord-python ENV/bin/python] [--work DIR]

Clips of 720p h264 are drawn from a seed (``watch_speed_clips``) and encoded by x264 with a keyframe every 250 frames at
most: one minute and ten (the minute ten times over) at 12.6 Mb/s, a minute at 3 Mb/s, one with a keyframe a second,
and two hours of 320 x 180. Each way runs in a process of its own with one thread; what counts is its CPU time after the
imports, so "times real time" is per core. ``llmrec`` decodes, chooses and makes the pictures that it chose, without
reading text. ``decord`` (at one frame a second) runs with another interpreter that has it, and is left out without.

The second table shows a package for half a second ten times over and counts how often a frame of it is looked at.
Writes ``eval/results/watch_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from watch_speed_clips import FLASH_SECONDS, HEIGHT, WIDTH, Flash, frames, repeat, write

HEAVY = {"g": "250", "b": "12600000", "maxrate": "14000000", "bufsize": "25200000"}
CLIPS: dict[str, dict[str, str]] = {
    "1 min": HEAVY,
    "1 min, 3 Mb/s": HEAVY | {"b": "3000000", "maxrate": "4000000", "bufsize": "6000000"},
    "1 min, keyframe a second": HEAVY | {"g": "25"},
}
LONG = "10 min"
HOURS = "2 h, 320 x 180"
TAIL = """
use = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu_s": use.ru_utime + use.ru_stime - before, "peak_mb": use.ru_maxrss / 1024, "frames": count}))
"""
HEAD = """
import json, resource, sys
from pathlib import Path
{imports}
use = resource.getrusage(resource.RUSAGE_SELF)
before = use.ru_utime + use.ru_stime
"""
LLMREC = """
import av, numpy, PIL.Image
from llmrec.video.choosing import choose
from llmrec.video.coverage import Coverage
from llmrec.video.frames import candidates
from llmrec.video.settings import WatchSettings
from llmrec.video.source import length_of, open_container, video_stream
"""
READ = """
settings, path, times = WatchSettings(threads=1), Path(sys.argv[1]), []
with open_container(path, settings) as container:
    found = candidates(container, video_stream(container), settings, Coverage("video"))
    runs = choose((times.append(one.time) or one for one in found), settings.budget(length_of(container)))
    count = sum(run.best.picture().width > 0 for run in runs)  # one at a time, as they are read
if len(sys.argv) > 2:
    Path(sys.argv[2]).write_text(json.dumps([times, [run.best.time for run in runs]]))
"""
WAYS: dict[str, tuple[str, str]] = {
    "llmrec, frames chosen": (LLMREC, READ),
    "PyAV, keyframes": (
        "import av",
        """
count = 0
with av.open(sys.argv[1]) as container:
    stream = container.streams.video[0]
    stream.codec_context.skip_frame, stream.codec_context.thread_count = "NONKEY", 1
    for frame in container.decode(stream):
        count += 1
""",
    ),
    "OpenCV, every frame": (
        "import cv2",
        """
cv2.setNumThreads(1)
video, count = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG), 0
while video.read()[0]:
    count += 1
""",
    ),
    "decord, one a second": (
        "import decord",
        """
video = decord.VideoReader(sys.argv[1], ctx=decord.cpu(0), num_threads=1)
step, count = round(video.get_avg_fps()), 0
for number in range(0, len(video), step):
    count += video[number].asnumpy().size > 0
""",
    ),
}
FFMPEG = "ffmpeg -skip_frame nokey"
#: Slow ways are run once on the long clip.
SLOW = ("OpenCV, every frame", "decord, one a second")
FLASHES = tuple(Flash(second + 0.04 * (second % 5), number % 2 == 0) for number, second in enumerate(range(4, 60, 6)))
FLASH_CLIPS = {
    "x264's usual settings": {"g": "250", "crf": "23"},
    "no keyframes at cuts": {"g": "250", "crf": "23", "sc_threshold": "0"},
    "no keyframes at cuts, 12.6 Mb/s": HEAVY | {"sc_threshold": "0"},
    "keyframe every 2 s, none at cuts": {"g": "50", "crf": "23", "sc_threshold": "0"},
}


def run(way: str, clip: Path, interpreters: dict[str, str], *extra: str) -> dict[str, float]:
    """Read a clip in one way in a process of its own: CPU seconds, largest memory in MB, frames."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENCV_FFMPEG_CAPTURE_OPTIONS": "threads;1"}
    if way == FFMPEG:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-skip_frame", "nokey", "-i", str(clip)]
        process = subprocess.Popen([*command, "-f", "null", "-"], stderr=subprocess.DEVNULL, env=environment)
        _, status, use = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{way} failed on {clip.name}")
        return {"cpu_s": use.ru_utime + use.ru_stime, "peak_mb": use.ru_maxrss / 1024}
    imports, body = WAYS[way]
    script = HEAD.format(imports=imports) + body + TAIL
    command = [interpreters.get(way, sys.executable), "-c", script, str(clip), *extra]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed on {clip.name}: {done.stderr.strip()[-400:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def make_clips(work: Path, seed: int) -> dict[str, tuple[Path, float]]:
    """The clips and their lengths in seconds; those that are there already are taken."""
    clips: dict[str, tuple[Path, float]] = {}
    for number, (name, options) in enumerate(CLIPS.items()):
        path = work / f"minute-{seed}-{number}.mp4"
        if not path.is_file():
            print(f"encoding {name} …", file=sys.stderr)
            write(path, frames(60, seed, grain=12.0), (WIDTH, HEIGHT), options)
        clips[name] = (path, 60.0)
    long, small, hours = work / f"long-{seed}.mp4", work / f"small-{seed}.mp4", work / f"hours-{seed}.mp4"
    if not long.is_file():
        repeat(clips["1 min"][0], long, 10)
    if not small.is_file():
        pictures = (picture[::4, ::4].copy() for picture in frames(60, seed, grain=0.0))
        write(small, pictures, (WIDTH // 4, HEIGHT // 4), {"g": "250"})
    if not hours.is_file():
        repeat(small, hours, 120)
    return clips | {LONG: (long, 600.0), HOURS: (hours, 7200.0)}


def measure(clips: dict[str, tuple[Path, float]], ways: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Each way on each clip, the order turned with each repeat."""
    table: dict[str, Any] = {}
    interpreters = {"decord, one a second": options.decord_python}
    for name, (clip, seconds) in clips.items():
        table[name] = {"bytes": clip.stat().st_size}
        here = ways if name in ("1 min", LONG) else [next(iter(WAYS))]
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in here}
        for turn in range(options.repeats):
            for way in here[turn % len(here) :] + here[: turn % len(here)]:
                if turn == 0 or (name != HOURS and (name != LONG or way not in SLOW)):
                    runs[way].append(run(way, clip, interpreters))
        print(f"\n{name}: {clip.stat().st_size * 8e-6 / seconds:.1f} Mb/s")
        for way, found in runs.items():
            speeds = sorted(seconds / one["cpu_s"] for one in found)
            peak = max(one["peak_mb"] for one in found)
            table[name][way] = {"speeds": speeds, "median": median(speeds), "peak_mb": peak, "runs": found}
            spread = f"{speeds[0]:7.1f} to {speeds[-1]:6.1f}"
            print(f"  {way:24} {median(speeds):7.1f} x real time ({spread}, {len(speeds)} runs), peak {peak:5.0f} MB")
    return table


def see(work: Path, seed: int) -> dict[str, Any]:
    """How many of the flashes are looked at, and how many are among the chosen, beside two simple ways."""
    table: dict[str, Any] = {}
    print(f"\nOf {len(FLASHES)} packages shown for half a second (every other one over a quarter of the picture):")
    for number, (name, options) in enumerate(FLASH_CLIPS.items()):
        path = work / f"flashes-{seed}-{number}.mp4"
        if not path.is_file():
            print(f"encoding {name} …", file=sys.stderr)
            grain = 12.0 if "b" in options else 0.0
            write(path, frames(60, seed + 50, grain, FLASHES), (WIDTH, HEIGHT), options)
        times = work / "times.json"
        speed = 60 / run(next(iter(WAYS)), path, {}, str(times))["cpu_s"]
        looked, chosen = json.loads(times.read_text())
        row = {
            "llmrec, looked at": _seen(looked),
            "llmrec, chosen": _seen(chosen),
            "keyframes": _seen(_keyframes(path)),
            "one a second": _seen([float(second) for second in range(60)]),
        }
        table[name] = row | {"speed": speed}
        print(f"  {name:34} " + ", ".join(f"{way} {count}" for way, count in row.items()) + f"; {speed:.0f} x")
    return table


def _seen(times: list[float]) -> int:
    half = 0.5 / 25
    return sum(any(f.start - half <= time < f.start + FLASH_SECONDS - half for time in times) for f in FLASHES)


def _keyframes(path: Path) -> list[float]:
    import av

    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return [float(one.pts * one.time_base) for one in packets if one.is_keyframe and one.pts is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--decord-python", default=os.environ.get("DECORD_PYTHON", ""), help="interpreter with decord")
    parser.add_argument("--work", type=Path, help="folder that keeps the clips (1.5 GB); default: a temporary one")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "watch_speed.json")
    options = parser.parse_args()
    ways, skipped = [*WAYS, FFMPEG], {}
    if not options.decord_python:
        skipped["decord, one a second"] = "no --decord-python given"
    if not shutil.which("ffmpeg"):
        skipped[FFMPEG] = "no ffmpeg on the path"
    for way, reason in skipped.items():
        print(f"left out: {way} ({reason})", file=sys.stderr)
    ways = [way for way in ways if way not in skipped]
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        table = measure(make_clips(work, options.seed), ways, options)
        seen = see(work, options.seed)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cpu": _cpu()}
    command = f"python eval/watch_speed.py --repeats {options.repeats} --seed {options.seed}"
    written = {"command": command, "machine": machine, "skipped": skipped, "speed": table, "flashes": seen}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
