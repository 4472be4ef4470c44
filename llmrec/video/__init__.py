"""A media file to a ``Content``: keyframes, on-screen text, speech and captions, each with its times.

::

    from llmrec.video import Watcher, watch
    content = watch("clip.mp4", frames_dir="frames")          # one file
    watcher = Watcher(frames_dir="frames")                    # many files: the models are loaded once
    for result in watcher.watch_all(["a.mp4", "b.webm"]):     # a Content, or a WatchFailure for a bad file
        print(result)
    with IsolatedWatcher(frames_dir="frames") as watcher:     # each file in a child process that it cannot bring down
        watcher.attempt("upload.mp4")
    for window in watch_live("recording.ts"):                 # a stream, in rolling windows
        print(window.content)
"""

from llmrec.video.batch import media_files, watch_batch
from llmrec.video.captioning import caption_keyframes, captioned
from llmrec.video.isolate import IsolatedWatcher
from llmrec.video.live import LiveWindow, watch_live
from llmrec.video.live_settings import LiveSettings
from llmrec.video.settings import WatchSettings
from llmrec.video.watcher import Watched, Watcher, WatchFailure, watch

__all__ = [
    "IsolatedWatcher",
    "LiveSettings",
    "LiveWindow",
    "WatchFailure",
    "WatchSettings",
    "Watched",
    "Watcher",
    "caption_keyframes",
    "captioned",
    "media_files",
    "watch",
    "watch_batch",
    "watch_live",
]
