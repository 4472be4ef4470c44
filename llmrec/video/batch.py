"""Many files, once each: finished ones are kept in a ledger beside the output and not watched again.

The ledger of ``contents.jsonl`` is ``.contents.jsonl.progress``. It stays after the batch, so that watching the same
files and one more costs only the new one; a file is taken from it while its path, size, time of change, sidecars and
the settings are the same and its keyframes are still there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from llmrec.errors import InputError
from llmrec.records import Content, ContentKind
from llmrec.storage import Ledger, fingerprint
from llmrec.video.settings import VERSION, WatchSettings
from llmrec.video.sidecars import sidecar_files
from llmrec.video.source import IMAGE_ENDINGS, VIDEO_ENDINGS
from llmrec.video.watcher import Watched, Watcher, WatchFailure


class Outcome(msgspec.Struct, frozen=True):
    """What became of one file: exactly one of ``watched`` and ``failure``; ``reused`` if it was watched before."""

    path: Path
    watched: Watched | None = None
    failure: WatchFailure | None = None
    reused: bool = False


def watch_batch(
    watcher: Watcher, paths: Sequence[Path], *, kind: ContentKind | None = None, ledger: Ledger[Watched] | None = None
) -> Iterator[Outcome]:
    """Watch files in order; a bad one is an outcome like any other.

    Args:
        watcher: Loaded once for all.
        paths: As ``media_files`` gives them; ids are made unique.
        kind: Of all contents; None lets each file tell.
        ledger: Open, with ``settings_digest`` as its settings.

    Raises:
        ModelError, MissingExtraError, StorageError: What would fail for every file stops the batch.
    """
    done = dict(ledger.done) if ledger is not None else {}
    for path, id in zip(paths, content_ids(paths), strict=True):
        key = file_key(path, id, kind, watcher.settings)
        before = done.get(key)
        if before is not None and all(not f.path or Path(f.path).is_file() for f in before.content.keyframes):
            yield Outcome(path, watched=before, reused=True)
            continue
        watched = watcher.attempt(path, id=id, kind=kind)
        if isinstance(watched, WatchFailure):
            yield Outcome(path, failure=watched)
            continue
        if ledger is not None:
            ledger.add(key, watched)
        yield Outcome(path, watched=watched)


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
            raise InputError(f"{path}: holds no media files", next_step="Give a folder of videos or of frames.")
    return found
