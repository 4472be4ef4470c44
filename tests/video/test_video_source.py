"""Files of strangers: scripts dressed as media, limits, things that are no files."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from llmrec.errors import InputError
from llmrec.video.settings import WatchSettings
from llmrec.video.source import check_file, length_of, media_type, open_container
from llmrec.video.watcher import Watcher
from tests.video.clips import picture, write_clip

QUIET = WatchSettings(speech="none", screen_text=False)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("secret") / "secret.mp4", [(1, picture(seed=1))])


def scripts(secret: Path) -> dict[str, bytes]:
    """Texts that make FFmpeg open another file."""
    return {
        "an FFmpeg concat script": f"ffconcat version 1.0\nfile '{secret}'\n".encode(),
        "an HLS playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n".encode(),
        "XML": f'<?xml version="1.0"?><MPD><BaseURL>{secret}</BaseURL></MPD>'.encode(),
        "text": b"nothing but words\n" * 9,
    }


def test_the_threat_is_real(tmp_path: Path, secret: Path) -> None:
    """Without the whitelists PyAV reads the file that the script names; if this fails the other tests prove nothing."""
    import av

    upload = tmp_path / "upload.mp4"
    upload.write_bytes(scripts(secret)["an FFmpeg concat script"])
    with av.open(str(upload), options={"safe": "0"}) as container:
        assert container.format.name == "concat"
        assert sum(1 for _ in container.decode(video=0)) == 10


@pytest.mark.parametrize("what", ["an FFmpeg concat script", "an HLS playlist", "XML", "text"])
def test_scripts_are_refused(tmp_path: Path, secret: Path, what: str) -> None:
    upload = tmp_path / "upload.mp4"
    upload.write_bytes(scripts(secret)[what])
    with pytest.raises(InputError, match=rf"upload\.mp4: is {what}, not a media file"):
        Watcher(QUIET).watch(upload)


@pytest.mark.parametrize("what", ["an FFmpeg concat script", "an HLS playlist", "XML", "text"])
def test_the_whitelist_alone_refuses_them_too(tmp_path: Path, secret: Path, what: str) -> None:
    upload = tmp_path / "upload.mp4"
    upload.write_bytes(scripts(secret)[what])
    with pytest.raises(InputError, match="cannot be opened as media"), open_container(upload, QUIET):
        pass


def test_a_script_in_utf16_does_not_slip_past(tmp_path: Path, secret: Path) -> None:
    upload = tmp_path / "upload.mp4"
    upload.write_bytes(f"ffconcat version 1.0\nfile '{secret}'\n".encode("utf-16"))
    with pytest.raises(InputError, match="cannot be opened as media"):
        Watcher(QUIET).watch(upload)


@pytest.mark.parametrize("url", ["https://example.com/a.mp4", "rtsp://10.0.0.1/live", "concat:/etc/hosts", "data:/x"])
def test_urls_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="only local files are read"):
        check_file(url, QUIET)


def test_a_name_with_a_colon_is_a_file(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [(1, picture(seed=1))])
    odd = clip.rename(tmp_path / "pipe:0 100%d.mp4")
    assert Watcher(QUIET).watch(odd).media == str(odd)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match=r"missing\.mp4: No such file"):
        check_file(tmp_path / "missing.mp4", QUIET)
    with pytest.raises(InputError, match="is empty"):
        check_file(tmp_path / "empty.mp4", QUIET)
    with pytest.raises(InputError, match="is not a file"):
        check_file("/dev/null", QUIET)


def test_limits(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [(3, picture(seed=1))])
    with pytest.raises(InputError, match="larger than"):
        Watcher(WatchSettings(speech="none", max_bytes=100)).watch(clip)
    with pytest.raises(InputError, match="is 3 s long, the limit is 2 s"):
        Watcher(WatchSettings(speech="none", max_seconds=2)).watch(clip)
    with pytest.raises(InputError, match=r"a\.mp4: frames of 320 × 240 pixels are over the limit"):
        Watcher(WatchSettings(speech="none", max_pixels=320 * 240 - 1)).watch(clip)
    photo = tmp_path / "photo.png"
    picture(size=(100, 50)).save(photo)
    with pytest.raises(InputError, match="100 × 50 pixels are over the limit"):
        Watcher(WatchSettings(speech="none", max_pixels=4999)).watch(photo)


def test_a_gif_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    size = struct.pack("<HH", 60_000, 60_000)
    bomb = tmp_path / "bomb.gif"
    bomb.write_bytes(b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + size + b"\0\x02\x02\x44\x01\0;")
    with pytest.raises(InputError, match=r"bomb\.gif"):
        Watcher(QUIET).watch(bomb)


def test_kinds_are_told_by_content_not_by_name(tmp_path: Path) -> None:
    png, mp4 = tmp_path / "really_png.mp4", tmp_path / "really_mp4.jpg"
    picture(seed=1).save(png, "PNG")
    write_clip(tmp_path / "a.mp4", [(1, picture(seed=1))]).rename(mp4)
    assert (media_type(png), media_type(mp4)) == ("image", "container")
    assert Watcher(QUIET).watch(png).kind == "post"
    assert Watcher(QUIET).watch(mp4).kind == "video"


def test_settings_are_checked() -> None:
    for wrong in ({"max_frames": 0}, {"ocr_confidence": 1.5}, {"threads": -1}, {"speech": ""}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            WatchSettings(**wrong)


def test_the_budget_grows_with_the_clip() -> None:
    settings = WatchSettings(max_frames=36, seconds_per_frame=2.0)
    lengths = (0, 1, 8, 15, 24, 53, 54, 743, 744, 7200)
    assert [settings.budget(s) for s in lengths] == [12, 4, 4, 8, 12, 12, 13, 35, 36, 36]
    assert WatchSettings(max_frames=12).budget(7200) == 12
    assert WatchSettings(max_frames=2).budget(60) == 2


def test_what_a_flash_video_declares_is_its_end() -> None:
    def length(name: str, start: int, duration: int) -> float:
        container = SimpleNamespace(format=SimpleNamespace(name=name), start_time=start, duration=duration)
        return length_of(container)

    assert length("flv", 1_500_000, 9_500_000) == 8.0
    assert length("flv", 90_000_000, 9_500_000) == length("mpegts", 1_500_000, 9_500_000) == 9.5
