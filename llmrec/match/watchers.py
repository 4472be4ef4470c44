"""What watches files: child processes, each of which runs ``make`` once, or this process itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmrec.seams import ImageEncoder
    from llmrec.video import IsolatedWatcher, Watcher, WatchSettings


def make(
    settings: WatchSettings, frames_dir: Path | None, vision: str = "none", loaded: ImageEncoder | None = None
) -> Watcher:
    """A watcher whose keyframes get vectors of the image encoder ``vision``, unless that is ``none``.

    Args:
        settings: How to watch.
        frames_dir: Folder for keyframes.
        vision: A model reference.
        loaded: That encoder, if it has been loaded already.

    Raises:
        ModelError: No such model.
    """
    from llmrec.video import Watcher

    tower = loaded
    if vision != "none" and tower is None:
        from llmrec.embed import load_image_encoder

        tower = load_image_encoder(vision)
    return Watcher(settings, frames_dir=frames_dir, image_encoder=tower)


@contextmanager
def file_watcher(
    settings: WatchSettings,
    frames_dir: Path | None,
    vision: str,
    *,
    isolate: bool,
    workers: int,
    speech: bool = False,
    loaded: ImageEncoder | None = None,
) -> Iterator[tuple[Watcher | IsolatedWatcher, str]]:
    """A watcher of files, ready to work, and the digest of its image encoder (empty without one).

    Args:
        settings: How to watch.
        frames_dir: Folder for keyframes.
        vision: Reference of the image encoder, or ``none``.
        isolate: Whether each file is watched in a child process.
        workers: Child processes.
        speech: Whether the speech model is to be found now, rather than at the first sound.
        loaded: The encoder, if this process has it: used where no child is.

    Raises:
        ModelError: No such speech model or image encoder, or it cannot be fetched.
    """
    from llmrec.video import IsolatedWatcher

    if isolate:
        options = {} if vision == "none" else {"vision": vision}
        where = "llmrec.video.worker:plain" if vision == "none" else f"{__name__}:make"
        with IsolatedWatcher(settings, frames_dir=frames_dir, workers=workers, make=where, options=options) as children:
            if speech or (vision != "none" and loaded is None):
                children.prepare(speech=speech)
            yield children, loaded.digest if loaded is not None else children.image_encoder
        return
    watcher = make(settings, frames_dir, vision, loaded)
    if speech:
        watcher.prepare()
    yield watcher, watcher.image_encoder.digest if watcher.image_encoder is not None else ""
