"""Watching: a media file to a ``Content``, with what could not be read and how long each part took.

Each sense is behind a seam (``ScreenReader``, ``SpeechReader``) and loaded when it is first needed, once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from llmrec.errors import InputError, LlmrecError, MissingExtraError, ModelError, StorageError
from llmrec.records import Content, ContentKind, Keyframe, TimedText
from llmrec.seams import ImageEncoder
from llmrec.video.animations import picture_runs
from llmrec.video.choosing import Run, choose
from llmrec.video.coverage import Coverage
from llmrec.video.crops import choose_pictures
from llmrec.video.ends import note_cut
from llmrec.video.frames import candidates
from llmrec.video.images import folder_candidates, natural_order
from llmrec.video.keyframes import file_name, save_keyframe, with_vector
from llmrec.video.screen import RapidReader, ScreenReader, merge_readings
from llmrec.video.settings import NO_SPEECH, WatchSettings
from llmrec.video.sidecars import Post, Sidecars, read_sidecars, sidecar_files
from llmrec.video.sound import Block, sound_blocks
from llmrec.video.source import (
    IMAGE_ENDINGS,
    audio_stream,
    check_file,
    length_of,
    media_type,
    open_container,
    stream_length,
    video_stream,
)
from llmrec.video.speech import SpeechReader, Transcript, WhisperReader
from llmrec.video.stopwatch import Stopwatch
from llmrec.video.subtitles import embedded_captions

logger = logging.getLogger(__name__)


class Watched(msgspec.Struct, frozen=True):
    """A content, what of its file could not be read (one line each), and the wall seconds of each part."""

    content: Content
    problems: tuple[str, ...] = ()
    seconds: dict[str, float] = {}


class WatchFailure(msgspec.Struct, frozen=True):
    """A file of a batch that gave no content, and why."""

    path: str
    message: str
    next_step: str = ""


class Watcher:
    """Watches files; hold one for a batch, so that models are loaded once.

    Args:
        settings: How to watch.
        frames_dir: Folder for keyframes, ``frames_dir/ID/000003250.jpg`` (milliseconds; without an id
            ``clip-mp4`` for ``clip.mp4``); None saves none.
        screen_reader: Replaces rapidocr.
        speech_reader: Replaces faster-whisper.
        image_encoder: Gives keyframes their vectors; None: they have none.
    """

    def __init__(
        self,
        settings: WatchSettings | None = None,
        *,
        frames_dir: str | Path | None = None,
        screen_reader: ScreenReader | None = None,
        speech_reader: SpeechReader | None = None,
        image_encoder: ImageEncoder | None = None,
    ) -> None:
        self.settings = settings or WatchSettings()
        self.frames_dir = Path(frames_dir) if frames_dir is not None else None
        self.screen_reader, self.speech_reader, self.image_encoder = screen_reader, speech_reader, image_encoder
        self._folders: dict[str, Path] = {}

    def prepare(self) -> None:
        """Find the speech model now rather than at the first sound, fetching it if need be.

        Raises:
            ModelError: No such model, or it cannot be fetched.
        """
        if self.speech_reader is None and self.settings.speech != NO_SPEECH:
            self.speech_reader = WhisperReader(self.settings)

    def watch(self, path: str | Path, *, id: str | None = None, kind: ContentKind | None = None) -> Content:
        """Watch one file, or a folder of pictures that are frames of one clip; see ``examine``.

        What could not be read is logged as a warning.
        """
        watched = self.examine(path, id=id, kind=kind)
        for problem in watched.problems:
            logger.warning("%s: %s", path, problem)
        return watched.content

    def watch_all(self, paths: Iterable[str | Path]) -> Iterator[Content | WatchFailure]:
        """Watch files one by one; a bad one gives a ``WatchFailure`` and the rest goes on.

        Raises:
            ModelError, MissingExtraError, StorageError: What would fail for every file stops the batch.
        """
        for path in paths:
            watched = self.attempt(path)
            if isinstance(watched, Watched):
                for problem in watched.problems:
                    logger.warning("%s: %s", path, problem)
            yield watched.content if isinstance(watched, Watched) else watched

    def attempt(
        self, path: str | Path, *, id: str | None = None, kind: ContentKind | None = None
    ) -> Watched | WatchFailure:
        """``examine`` for one file of a batch: what is wrong with the file comes back as a ``WatchFailure``.

        Raises:
            ModelError, MissingExtraError, StorageError: What would fail for every file.
        """
        try:
            return self.examine(path, id=id, kind=kind)
        except (ModelError, MissingExtraError, StorageError):
            raise
        except LlmrecError as error:
            return WatchFailure(str(path), error.message, error.next_step)
        except MemoryError:
            step = "Scale the file down or leave it out, or raise max_memory."
            return WatchFailure(str(path), f"{path}: needs more memory than there is", step)
        except Exception as error:  # a decoder's own fault on a strange file must not cost the batch
            logger.debug("%s", path, exc_info=True)
            step = "Convert the file and try again; please report it, 'llmrec --verbose watch' shows where it happened."
            return WatchFailure(str(path), f"{path}: unexpected {type(error).__name__}: {error}", step)

    def examine(self, path: str | Path, *, id: str | None = None, kind: ContentKind | None = None) -> Watched:
        """Watch one file and say as well what could not be read.

        Args:
            path: A video, a sound file, a picture, or a folder of pictures that are frames of one clip.
            id: Of the content; default: the file's name without its ending.
            kind: Default ``post`` for one picture, else ``video``.

        Raises:
            InputError: A URL, no such file, not media, nothing in it can be read; names the file.
            ModelError: The speech model cannot be had.
            MissingExtraError: The extra ``video`` is not installed.
            StorageError: The keyframes cannot be written.
        """
        clock = Stopwatch()
        is_folder = "://" not in str(path) and Path(path).is_dir()
        path = Path(path) if is_folder else check_file(path, self.settings)
        folder = self._folder_for(path, id or path.name.replace(".", "-"))
        id = id or (path.name if is_folder else path.stem) or str(path)
        transcript, post, sidecars = Transcript([], ""), Post(), Sidecars(Post(), [], [])
        streams: list[Coverage] = []
        with clock.part("frames"):
            if is_folder:
                runs = self._folder(path, streams)
            elif media_type(path) == "image":
                runs = picture_runs(path, self.settings, streams)
                kind = kind or ("video" if streams else "post")
            else:
                runs, post = self._container(path, streams)
        if not is_folder:
            sidecars = read_sidecars(sidecar_files(path, self.settings.language), self.settings.language)
            if not sidecars.subtitled and media_type(path) == "container":
                sidecars.captions.extend(embedded_captions(path, self.settings))
            if self.settings.speech != NO_SPEECH and media_type(path) == "container":
                with clock.part("speech"):
                    transcript = self._listen(path, streams)
        if streams and not any(stream.decoded for stream in streams):
            reason = "; ".join(stream.problem() or f"{stream.name}: no frames" for stream in streams)
            step = "The file is damaged: fetch or record it again."
            raise InputError(f"{path}: nothing in it can be decoded ({reason})", next_step=step)
        keyframes, captions = self.look(runs, folder, clock)
        timed = [*transcript.pieces, *captions, *sidecars.captions]
        problems = [*filter(None, (stream.problem() for stream in streams)), *sidecars.problems]
        content = Content(
            id=id,
            kind=kind or "video",
            title=sidecars.post.title or post.title,
            caption=sidecars.post.caption or post.caption,
            hashtags=sidecars.post.hashtags,
            language=self.settings.language or transcript.language or sidecars.post.language,
            media=str(path),
            timed_text=tuple(sorted(timed, key=lambda piece: (piece.start, piece.end))),
            keyframes=tuple(keyframes),
            image_encoder=self.image_encoder.digest if self.image_encoder is not None and keyframes else "",
        )
        return Watched(content, tuple(problems), clock.seconds)

    def _container(self, path: Path, streams: list[Coverage]) -> tuple[list[Run], Post]:
        with open_container(path, self.settings) as container:
            length = length_of(container)
            if length > self.settings.max_seconds:
                limit = f"{length:.0f} s long, the limit is {self.settings.max_seconds:g} s"
                raise InputError(f"{path}: is {limit}", next_step="Cut the file, or raise max_seconds.")
            metadata = {key.lower(): value for key, value in container.metadata.items()}
            post = Post(metadata.get("title", ""), metadata.get("description", ""))
            stream = video_stream(container)
            if stream is None:
                if audio_stream(container) is None:
                    step = "Give a file with pictures or sound."
                    raise InputError(f"{path}: has neither pictures nor sound", next_step=step)
                return [], post
            streams.append(
                Coverage("video", stream_length(stream) or length, step=1 / float(stream.average_rate or 25))
            )
            frames = candidates(container, stream, self.settings, streams[-1])
            with _naming(path):
                runs = choose(frames, self.settings.budget(length))
            note_cut(streams[-1], path, container.format.name)
            return runs, post

    def _folder(self, path: Path, streams: list[Coverage]) -> list[Run]:
        images = sorted((p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS), key=natural_order)
        if not images:
            step = "Give a media file, or a folder with pictures that are frames of one clip."
            raise InputError(f"{path}: holds no pictures", next_step=step)
        streams.append(Coverage("pictures"))
        return choose_pictures(folder_candidates(images, self.settings, streams[-1]), self.settings.budget(0))

    def _listen(self, path: Path, streams: list[Coverage]) -> Transcript:
        with open_container(path, self.settings) as container:
            stream = audio_stream(container, self.settings.language)
            if stream is None:
                return Transcript([], "")
            streams.append(Coverage("audio", stream_length(stream)))
            with _naming(path):
                transcript = self.hear(sound_blocks(container, stream, self.settings, streams[-1]))
            if len(streams) == 1:
                note_cut(streams[-1], path, container.format.name)
            return transcript

    def hear(self, blocks: Iterable[Block]) -> Transcript:
        """What is said in blocks of sound, in order of time."""
        self.prepare()
        return self.speech_reader.listen(blocks) if self.speech_reader is not None else Transcript([], "")

    def look(self, runs: list[Run], folder: Path | None, clock: Stopwatch) -> tuple[list[Keyframe], list[TimedText]]:
        """Keyframes (saved in ``folder``, encoded) and on-screen text of what was chosen."""
        keyframes, readings = [], []
        if runs and self.settings.screen_text and self.screen_reader is None:
            with clock.part("load ocr"):
                self.screen_reader = RapidReader(self.settings)
        for run in runs:
            picture = run.best.picture()
            frame = None
            if folder is not None:
                with clock.part("save"):
                    frame = save_keyframe(picture, run, folder)
            if self.image_encoder is not None:
                with clock.part("vision"):
                    frame = with_vector(frame, picture, run, self.image_encoder)
            if frame is not None:
                keyframes.append(frame)
            if self.settings.screen_text and self.screen_reader is not None:
                with clock.part("screen"):
                    readings.append((round(run.start, 3), round(run.end, 3), self.screen_reader.read(picture)))
        return keyframes, merge_readings(readings)

    def _folder_for(self, path: Path, name: str) -> Path | None:
        """The folder for a file's keyframes; of two files of one name the second gets another."""
        if self.frames_dir is None:
            return None
        name, whole = file_name(name), path.absolute()
        if self._folders.setdefault(name, whole) != whole:
            name = file_name(f"{name}/{whole}")
        return self.frames_dir / name


def watch(
    path: str | Path,
    *,
    settings: WatchSettings | None = None,
    frames_dir: str | Path | None = None,
    id: str | None = None,
    kind: ContentKind | None = None,
) -> Content:
    """Watch one file; see ``Watcher.examine`` for arguments and errors. For many files hold a ``Watcher``."""
    return Watcher(settings, frames_dir=frames_dir).watch(path, id=id, kind=kind)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error.message}", next_step=error.next_step) from error
