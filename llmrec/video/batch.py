"""Many files, once each: finished ones are kept in a ledger beside the output and not watched again.

The ledger of ``contents.jsonl`` is ``.contents.jsonl.progress``. It stays after the batch, so that watching the same
files and one more costs only the new one; a file is taken from it while its path, size, time of change, sidecars and
the settings are the same and its keyframes are still there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from llmrec.errors import InputError
from llmrec.records import Content, ContentKind
from llmrec.storage import Ledger, fingerprint
from llmrec.video.settings import VERSION, WatchSettings
from llmrec.video.sidecars import sidecar_files
from llmrec.video.source import IMAGE_ENDINGS, VIDEO_ENDINGS
from llmrec.video.watcher import Watched, WatchFailure

T = TypeVar("T")


class Outcome(msgspec.Struct, frozen=True):
    """What became of one file: exactly one of ``watched`` and ``failure``; ``reused`` if it was watched before."""

    path: Path
    watched: Watched | None = None
    failure: WatchFailure | None = None
    reused: bool = False


class Attempts(Protocol):
    """Anything that watches one file of a batch: a ``Watcher``, or an ``IsolatedWatcher`` from several threads."""

    settings: WatchSettings

    def attempt(
        self, path: str | Path, *, id: str | None = None, kind: ContentKind | None = None
    ) -> Watched | WatchFailure: ...


def watch_batch(
    watcher: Attempts,
    paths: Sequence[Path],
    *,
    kind: ContentKind | None = None,
    ledger: Ledger[Watched] | None = None,
    workers: int = 1,
) -> Iterator[Outcome]:
    """Watch files; outcomes come in the order of the files, and a bad one is an outcome like any other.

    Args:
        watcher: Loaded once for all.
        paths: As ``media_files`` gives them; ids are made unique.
        kind: Of all contents; None lets each file tell.
        ledger: Open, with ``settings_digest`` as its settings; each file is kept as soon as it is done.
        workers: Files at a time; more than one needs an ``IsolatedWatcher`` with as many.

    Raises:
        ModelError, MissingExtraError, StorageError: What would fail for every file stops the batch.
    """
    done = dict(ledger.done) if ledger is not None else {}
    jobs = []
    for path, id in zip(paths, content_ids(paths), strict=True):
        key = file_key(path, id, kind, watcher.settings)
        before = done.get(key)
        if before is not None and not all(not f.path or Path(f.path).is_file() for f in before.content.keyframes):
            before = None
        jobs.append((path, id, key, before))

    def work(number: int) -> Watched | WatchFailure:
        path, id, _, before = jobs[number]
        return before if before is not None else watcher.attempt(path, id=id, kind=kind)

    def keep(number: int, watched: Watched | WatchFailure) -> None:
        _, _, key, before = jobs[number]
        if ledger is not None and before is None and isinstance(watched, Watched):
            ledger.add(key, watched)

    for number, watched in enumerate(in_order(work, keep, len(jobs), workers)):
        path, _, _, before = jobs[number]
        if isinstance(watched, WatchFailure):
            yield Outcome(path, failure=watched)
        else:
            yield Outcome(path, watched=watched, reused=before is not None)


def in_order(work: Callable[[int], T], keep: Callable[[int, T], None], count: int, workers: int) -> Iterator[T]:
    """Results of ``work`` for 0 to ``count``, in order, from ``workers`` threads.

    ``keep`` sees each as soon as it is there, in the calling thread.
    """
    if workers <= 1:
        for number in range(count):
            result = work(number)
            keep(number, result)
            yield result
        return
    pool = ThreadPoolExecutor(workers)
    try:
        running: dict[Future[T], int] = {}
        ready: dict[int, T] = {}
        given = 0
        for number in range(count):
            while number not in ready:
                # a slow file holds the order up: the others go on, but not without bound
                while given < count and len(running) < workers and given < number + 16 * workers:
                    running[pool.submit(work, given)] = given
                    given += 1
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    at = running.pop(future)
                    ready[at] = future.result()
                    keep(at, ready[at])
            yield ready.pop(number)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def settings_digest(settings: WatchSettings, frames_dir: Path | None, image_encoder: str = "") -> str:
    """Digest of what changes contents besides the files themselves; ``image_encoder`` is the digest of that."""
    folder = str(frames_dir.absolute()) if frames_dir else None
    return fingerprint(VERSION, settings, folder, *([image_encoder] if image_encoder else []))


def file_key(path: Path, id: str, kind: ContentKind | None, settings: WatchSettings) -> str:
    """Digest of a file's path, size and time of change, and of those of its sidecars (of a folder: of its files)."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path, *sidecar_files(path, settings.language)]
        marks = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError:
        marks = []
    return fingerprint(str(path.absolute()), id, kind, marks)


def content_ids(paths: Sequence[Path]) -> list[str]:
    """An id for each file: its name without the ending, with the ending or the folder before it where two are alike.

    Raises:
        InputError: One file is named twice.
    """
    forms = [
        [path.stem if path.suffix.lower() in IMAGE_ENDINGS | VIDEO_ENDINGS else path.name for path in paths],
        [path.name for path in paths],
        [f"{path.absolute().parent.name}/{path.name}" for path in paths],
        [path.absolute().as_posix() for path in paths],
    ]
    ids = []
    for number, path in enumerate(paths):
        unique = (form[number] for form in forms if form[number] and form.count(form[number]) == 1)
        id = next(unique, None)
        if id is None:
            raise InputError(f"{path}: is named twice", next_step="Name every file once.")
        ids.append(id)
    if len(set(ids)) < len(ids):  # one file's short form is another's long form
        return forms[-1]
    return ids


def beside(content: Content, output: Path) -> Content:
    """A content whose paths start from the folder of the contents file that it is written to."""

    def relative(path: str) -> str:
        return path and Path(os.path.relpath(Path(path).absolute(), output.absolute().parent)).as_posix()

    keyframes = tuple(msgspec.structs.replace(frame, path=relative(frame.path)) for frame in content.keyframes)
    return msgspec.structs.replace(content, media=relative(content.media), keyframes=keyframes)


def media_files(paths: Sequence[str | Path]) -> list[Path]:
    """Expand folders: one that holds videos gives each media file in it, one of pictures alone is one clip.

    Raises:
        InputError: A folder without media.
    """
    found: list[Path] = []
    for given in paths:
        path = Path(given)
        if "://" in str(given) or not path.is_dir():
            found.append(path)
            continue
        endings = {entry: entry.suffix.lower() for entry in sorted(path.iterdir()) if entry.is_file()}
        if any(ending in VIDEO_ENDINGS for ending in endings.values()):
            found += [entry for entry, ending in endings.items() if ending in VIDEO_ENDINGS | IMAGE_ENDINGS]
        elif any(ending in IMAGE_ENDINGS for ending in endings.values()):
            found.append(path)
        else:
            inner = passed_over([path])
            step = f"Name the folders in it, such as {inner[0]}." if inner else "Give a folder of videos or of frames."
            raise InputError(f"{path}: holds no media files", next_step=step)
    return found


def passed_over(paths: Sequence[str | Path]) -> list[Path]:
    """Folders within the given ones that hold media: they are not watched unless they are named themselves."""
    folders = [Path(given) for given in paths if "://" not in str(given) and Path(given).is_dir()]
    named = {folder.resolve() for folder in folders}
    inner = [entry for folder in folders for entry in sorted(folder.iterdir()) if entry.resolve() not in named]
    return [entry for entry in inner if entry.is_dir() and not entry.name.startswith(".") and _holds_media(entry)]


def _holds_media(folder: Path) -> bool:
    try:
        return any(entry.suffix.lower() in VIDEO_ENDINGS | IMAGE_ENDINGS for entry in folder.iterdir())
    except OSError:
        return False
