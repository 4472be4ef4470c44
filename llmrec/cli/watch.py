"""``llmrec watch clip.mp4 -o contents.jsonl``: what a video shows, says and writes, with times."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llmrec.cli.manners import emit, progress, record_output, usable_output, visible
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.seams import Captioner
    from llmrec.video import Watcher, WatchFailure
    from llmrec.video.batch import Outcome
    from llmrec.video.live_settings import LiveSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(watch)


def watch(
    media: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO…",
            help="Videos, sound files, pictures or folders; '-' reads names from stdin. With --live: streams.",
        ),
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Contents (.jsonl, .parquet, '-' for stdout).")
    ],
    frames: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for keyframes (default: FILE.frames; none with '-o -')."),
    ] = None,
    speech: Annotated[
        str, typer.Option(metavar="MODEL", help="Speech model, or 'none' to not listen.")
    ] = "starter:whisper-base",
    ocr: Annotated[bool, typer.Option("--ocr/--no-ocr", help="Read on-screen text.")] = True,
    vision: Annotated[
        str, typer.Option(metavar="MODEL", help="Model of the keyframes' vectors (that of the index), or 'none'.")
    ] = "none",
    caption_model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Vision-language model that captions the keyframes: openai:MODEL@URL, a folder, a hub id, or 'none'.",
        ),
    ] = "none",
    max_frames: Annotated[int, typer.Option(min=1, help="Keyframes of a content at most.")] = 36,
    all_frames: Annotated[
        bool,
        typer.Option("--all-frames", help="Decode all of long files too: misses less, takes up to ten times as long."),
    ] = False,
    language: Annotated[str, typer.Option(help="Language of the speech, such as 'en' (default: detected).")] = "",
    kind: Annotated[
        Literal["video", "live", "post"] | None, typer.Option(help="Kind of the contents (default: by the file).")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of each model (0: by the machine).")] = 0,
    isolate: Annotated[
        bool, typer.Option("--isolate/--no-isolate", help="Child processes watch: what kills one costs one file.")
    ] = True,
    workers: Annotated[int, typer.Option(min=0, help="Files at a time (0: by cores and memory).")] = 0,
    limit: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="Another limit, such as max_seconds=20000.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Leave out files that were watched before and have not changed.")] = True,
    live: Annotated[
        bool, typer.Option("--live", help="The arguments are streams: growing files, HLS, RTSP, RTMP, HTTP, '-'.")
    ] = False,
    window: Annotated[float, typer.Option(metavar="S", help="With --live: seconds of stream for a content.")] = 20.0,
    hop: Annotated[
        float | None,
        typer.Option(metavar="S", help="With --live: seconds from start to start (default: 3/4 of S)."),
    ] = None,
    duration: Annotated[float, typer.Option(metavar="S", help="With --live: end after so much (0: never).")] = 0.0,
    idle: Annotated[float, typer.Option(metavar="S", help="With --live: end when nothing came for so long.")] = 30.0,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="With --live: a host that a playlist may name too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a machine-readable summary.")] = False,
) -> None:
    """Watch videos: keyframes, on-screen text and speech, each with its times, as contents for 'match'.

    A folder that holds videos gives one content for each; a folder of pictures alone is one clip. Captions beside a
    video (.srt, .vtt, .ass) or inside it, the .info.json of downloaders and saved live chats (.live_chat.json,
    .chat.json, .chat.jsonl) are read as well. A file that cannot be read is reported and the others go on; what has
    been watched is kept, so that a second run goes on where the first stopped.

    With --live each stream gives a content for every window as soon as it is over: 0-20 s, 15-35 s and so on, with
    times from the start of the stream. FILE.jsonl is then a log that only grows. The network is used with --live alone,
    and only for the hosts that are named. Pipe it on: llmrec watch --live … -o - | llmrec match - --index … -o -
    """
    if as_json and output == "-":
        raise InputError("--json and '-o -' both write to standard output", next_step="Write the contents to a file.")
    from llmrec.match.watchers import file_watcher, make
    from llmrec.records import Content
    from llmrec.storage import Ledger, write_records
    from llmrec.video import Watched, WatchSettings, captioned, media_files
    from llmrec.video.batch import beside, passed_over, settings_digest, watch_batch
    from llmrec.video.child import worker_count
    from llmrec.video.live_settings import LiveSettings
    from llmrec.video.settings import with_limits
    from llmrec.video.source import IMAGE_ENDINGS

    if media == ["-"] and not live:
        media = [line for line in sys.stdin.read().splitlines() if line.strip()]
    paths = [] if live else media_files(media)
    usable_output(output, *(media if live else paths))
    record_output(output)
    if not media:
        raise InputError("no files are named", next_step="Give at least one video.")
    if frames is not None and frames.exists() and not frames.is_dir():
        raise InputError(f"{frames}: is not a folder", next_step="Name a folder for the keyframes.")
    if not live and (hop is not None or allow_host or (window, duration, idle) != (20.0, 0.0, 30.0)):
        step = "Add --live, or leave out --window, --hop, --duration, --idle and --allow-host."
        raise InputError("an option for streams is given for files", next_step=step)
    for folder in [] if live else passed_over(media):
        print(visible(f"left aside: {folder}: a folder within a folder; name it to have it watched"), file=sys.stderr)
    frames = frames or (None if output == "-" or live else Path(f"{output}.frames"))
    settings = WatchSettings(
        max_frames=max_frames,
        all_frames=all_frames,
        screen_text=ocr,
        speech=speech,
        language=language,
        threads=threads,
    )
    captioner = _captioner(caption_model, frames, threads)
    settings = with_limits(settings, limit or ())
    if live:
        hop = hop if hop is not None else max(1.0, 0.75 * window)
        hosts = tuple(allow_host or ())
        rolling = LiveSettings(window=window, hop=hop, duration=duration, idle=idle, allow_hosts=hosts)
        return _follow(media, make(settings, frames, vision), rolling, output, as_json, captioner)
    count = (workers or worker_count(len(paths))) if isolate else 1
    sounds = any(path.is_file() and path.suffix.lower() not in IMAGE_ENDINGS for path in paths)
    tally = _Tally(len(paths))
    with file_watcher(settings, frames, vision, isolate=isolate, workers=count, speech=sounds) as (watcher, tower):
        if output == "-":
            outcomes = watch_batch(watcher, paths, kind=kind, workers=count)
            stream: Iterator[Content] = (o.watched.content for o in tally.follow(outcomes) if o.watched)
            write_records("-", captioned(stream, captioner) if captioner else stream, Content)
        else:
            with Ledger(output, Watched, settings_digest(settings, frames, tower), resume=resume) as ledger:
                outcomes = watch_batch(watcher, paths, kind=kind, ledger=ledger, workers=count)
                stream = (beside(o.watched.content, Path(output)) for o in tally.follow(outcomes) if o.watched)
                if captioner:
                    folder = Path(output).parent
                    stream = captioned(stream, captioner, folder=folder, target=output, resume=resume)
                contents = list(stream)
                if contents:
                    write_records(output, contents, Content)
                else:
                    ledger.finish()
    tally.leave(output, frames, as_json)


def _captioner(reference: str, frames: Path | None, threads: int) -> Captioner | None:
    """The model that captions keyframes, which are read where they are saved."""
    if reference == "none":
        return None
    if frames is None:
        step = "Say where with --frames DIR."
        raise InputError("--caption-model reads keyframes, and none are saved", next_step=step)
    from llmrec.llm import load_captioner

    return load_captioner(reference, threads=threads or None)


class _Tally:
    """Counts of a batch, told to the person as it goes."""

    def __init__(self, total: int) -> None:
        self.total, self.watched, self.reused = total, 0, 0
        self.failed: list[WatchFailure] = []
        self.problems: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}

    def follow(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        for outcome in progress(outcomes, "watching", self.total):
            if outcome.failure is not None:
                self.failed.append(outcome.failure)
                if self.total > 1:
                    print(visible(f"failed: {outcome.failure.message}"), file=sys.stderr)
            if outcome.watched is not None:
                self.watched += 1
                self.reused += outcome.reused
                for problem in outcome.watched.problems:
                    self.problems.setdefault(str(outcome.path), []).append(problem)
                    print(visible(f"warning: {outcome.path}: {problem}"), file=sys.stderr)
                for part, seconds in outcome.watched.seconds.items() if not outcome.reused else ():
                    self.seconds[part] = round(self.seconds.get(part, 0.0) + seconds, 3)
            yield outcome

    def leave(self, output: str, frames: Path | None, as_json: bool) -> None:
        """Print the result and leave with the exit code that it asks for."""
        if not self.watched and self.total == 1:
            raise InputError(self.failed[0].message, next_step=self.failed[0].next_step)
        if not self.watched:
            raise InputError(f"none of {self.total} files could be watched", next_step="See the reasons above.")
        result = {
            "output": output,
            "frames": str(frames) if frames else None,
            "contents": self.watched,
            "reused": self.reused,
            "failed": self.failed,
            "problems": self.problems,
            "seconds": self.seconds,
        }
        text = f"{self.watched} contents watched ({self.reused} before), {len(self.failed)} failed -> {output}"
        if output == "-":
            print(text, file=sys.stderr)
        else:
            emit(result, as_json=as_json, text=text)
        if self.failed:
            raise typer.Exit(1)


def _follow(
    streams: list[str],
    watcher: Watcher,
    rolling: LiveSettings,
    output: str,
    as_json: bool,
    captioner: Captioner | None = None,
) -> None:
    """Watch streams, and write each window as it comes."""
    from llmrec.records import Content
    from llmrec.storage import write_records
    from llmrec.video import caption_keyframes
    from llmrec.video.batch import beside
    from llmrec.video.live import StreamEnd, watch_live
    from llmrec.video.live_log import LiveLog
    from llmrec.video.live_source import free_name, live_sources

    sources = live_sources(streams)
    ends: list[StreamEnd] = []
    counts = {"contents": 0, "pictures": 0, "problems": 0}
    lags: list[float] = []

    def ended(end: StreamEnd) -> None:
        ends.append(end)
        if not end.failed or len(sources) > 1:  # of one stream it is the error of the command
            print(visible(f"{'failed' if end.failed else 'ended'}: {end.name}: {end.reason}"), file=sys.stderr)

    def contents() -> Iterator[Content]:
        for one in watch_live(sources, watcher, rolling, on_end=ended):
            for problem in one.problems:
                print(visible(f"warning: {one.content.id}: {problem}"), file=sys.stderr)
            counts["contents"] += 1
            counts["pictures"] += one.pictures
            counts["problems"] += len(one.problems)
            lags.append(one.lag)
            if sys.stderr.isatty():
                texts = len(one.content.timed_text)
                print(
                    f"{one.content.id}: {texts} texts, {one.pictures} pictures, {one.lag:.1f} s late", file=sys.stderr
                )
            yield caption_keyframes(one.content, captioner) if captioner else one.content

    try:
        if output == "-":
            write_records("-", contents(), Content)
        else:
            with LiveLog(output) as log:
                sources = [one._replace(name=free_name(one.name, log.names)) for one in sources]
                for content in contents():
                    log.add(beside(content, Path(output)))
    finally:
        if lags:  # after an interruption too
            # what is read from a file may be done before its time
            late = {"median": max(0.0, sorted(lags)[len(lags) // 2]), "most": max(0.0, *lags)}
            text = "{} contents, {:.1f} s late (at most {:.1f})".format(counts["contents"], *late.values())
            if output == "-":
                print(text, file=sys.stderr)
            else:
                emit(
                    {"output": output, **counts, "lag": late, "ends": ends}, as_json=as_json, text=f"{text} -> {output}"
                )
    if not lags:
        raise InputError(
            "nothing came of the streams", next_step="Check that they are on, and that they show something."
        )
