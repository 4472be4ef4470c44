"""Captions and descriptions that lie beside a video."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.records import TimedText
from llmrec.video.captions import parse_captions
from llmrec.video.sidecars import Post, parse_info, read_sidecars, sidecar_files

SRT = """1
00:00:01,000 --> 00:00:03,500
This is the <i>Trail 2</i>

2
00:00:04,000 --> 00:00:05,000
{\\an8}&amp; it costs 89 euros
only today

"""
VTT = """WEBVTT
Kind: captions

00:01.000 --> 00:02.000 align:start position:0%
so<00:00:01.200><c> this</c><00:00:01.500><c> mug</c>

00:02.000 --> 00:02.010
so this mug

00:02.010 --> 00:04.000
so this mug
is<00:00:02.200><c> blue</c>
"""


def test_subrip() -> None:
    assert parse_captions(SRT) == [
        TimedText(1.0, 3.5, "This is the Trail 2", "caption"),
        TimedText(4.0, 5.0, "& it costs 89 euros only today", "caption"),
    ]


def test_rolling_captions_are_said_once() -> None:
    assert parse_captions(VTT) == [
        TimedText(1.0, 2.01, "so this mug", "caption"),
        TimedText(2.01, 4.0, "is blue", "caption"),
    ]


def test_cues_without_an_empty_line_between() -> None:
    text = "1\n00:00:01,0 --> 00:00:02,0\none\n2\n00:00:02,0 --> 00:00:03,0\ntwo\n"
    assert [piece.text for piece in parse_captions(text)] == ["one", "two"]


def test_hours_and_fractions() -> None:
    (piece,) = parse_captions("01:02:03.250 --> 01:02:04.5\nlate")
    assert (piece.start, piece.end) == (3723.25, 3724.5)


CUES = st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 5000), st.text("abc é商", min_size=1)), max_size=8)


def stamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{rest:03}"


@given(CUES)
def test_what_is_written_is_read(cues: list[tuple[int, int, str]]) -> None:
    cues = [(at, span, f"{number} {text}".strip()) for number, (at, span, text) in enumerate(cues)]
    text = "".join(f"{i}\n{stamp(at)} --> {stamp(at + span)}\n{said}\n\n" for i, (at, span, said) in enumerate(cues))
    read = [(p.start, p.end, p.text) for p in parse_captions(text)]
    assert read == [(at / 1000, (at + span) / 1000, " ".join(said.split())) for at, span, said in cues]


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    assert all(piece.start <= piece.end and piece.text for piece in parse_captions(text))


def test_info_json() -> None:
    info = {"id": "x", "title": "My mug #morning", "description": "Bought it #Blue", "tags": ["mug", "#blue", 3]}
    assert parse_info(json.dumps(info)) == Post("My mug #morning", "Bought it #Blue", ("mug", "blue", "morning"), "")
    assert parse_info('{"language": "de-DE"}') == Post(language="de")
    with pytest.raises(ValueError, match="not a JSON object"):
        parse_info("[1]")


def test_the_right_files_are_found(tmp_path: Path) -> None:
    names = ["clip.mp4", "clip.en.srt", "clip.de.vtt", "clip.info.json", "clip2.srt", "clip-b.srt", "other.info.json"]
    for name in names:
        (tmp_path / name).touch()
    media = tmp_path / "clip.mp4"
    assert [p.name for p in sidecar_files(media)] == ["clip.de.vtt", "clip.en.srt", "clip.info.json"]
    assert [p.name for p in sidecar_files(media, "en")] == ["clip.en.srt", "clip.de.vtt", "clip.info.json"]
    for name in ("clip.srt", "clip.ass", "clip.live_chat.json", "clip.mp4.chat.jsonl", "clip.description", "clip.json"):
        (tmp_path / name).touch()
    names = [p.name for p in sidecar_files(media)]
    assert names[:2] == ["clip.ass", "clip.srt"]
    assert names[4:] == ["clip.description", "clip.info.json", "clip.live_chat.json", "clip.mp4.chat.jsonl"]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_one_of_several_caption_files_is_read(tmp_path: Path) -> None:
    cue = "00:01.000 --> 00:02.000\n"
    for tag in ("de", "en", "fr"):
        write(tmp_path / f"clip.{tag}.vtt", f"WEBVTT\n\n{cue}{tag} words\n")
    media = tmp_path / "clip.mp4"

    def read(info: dict[str, object], wanted: str = "") -> str:
        write(tmp_path / "clip.info.json", json.dumps(info))
        sidecars = read_sidecars(sidecar_files(media, wanted), wanted)
        assert sidecars.subtitled and not sidecars.problems
        return " ".join(piece.text for piece in sidecars.captions)

    assert read({}) == "de words"
    assert read({"language": "en-US"}) == "en words"
    assert read({"language": "en-US"}, "fr") == "fr words"
    assert read({"subtitles": {"fr": [], "live_chat": []}}) == "fr words"  # the others were made by a machine


def test_a_damaged_caption_file_gives_way_to_the_next(tmp_path: Path) -> None:
    write(tmp_path / "clip.de.vtt", "WEBVTT\n\nnothing")
    write(tmp_path / "clip.en.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n")
    sidecars = read_sidecars(sidecar_files(tmp_path / "clip.mp4"))
    assert [piece.text for piece in sidecars.captions] == ["hello"]
    assert sidecars.problems == ["clip.de.vtt: left aside (holds no captions)"]


def test_chapters_are_timed(tmp_path: Path) -> None:
    chapters = [
        {"start_time": 0.0, "end_time": 4.0, "title": "<Untitled Chapter 1>"},
        {"start_time": 4.0, "end_time": 9.5, "title": "The  Trail 2"},
        {"start_time": 9.5, "end_time": float("nan"), "title": "Price"},
        {"start_time": float("inf"), "title": "x"},
        {"start_time": "?", "title": "x"},
        7,
    ]
    post = parse_info(json.dumps({"title": "t", "chapters": chapters}))
    assert post.chapters == (TimedText(4.0, 9.5, "The Trail 2", "caption"), TimedText(9.5, 9.5, "Price", "caption"))
    info = write(tmp_path / "a.info.json", json.dumps({"title": "t", "chapters": chapters}))
    assert read_sidecars([info]).captions == list(post.chapters)
    assert not read_sidecars([info]).subtitled


def test_a_description_file_fills_what_the_info_leaves_out(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.description", "Bought it #Blue\n"), write(tmp_path / "a.info.json", '{"title": "t"}')]
    assert read_sidecars(files).post[:3] == ("t", "Bought it #Blue", ("Blue",))
    write(files[1], '{"title": "t", "description": "Theirs"}')
    assert read_sidecars(files).post[:2] == ("t", "Theirs")


ASS = """[Script Info]
Title: x

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,a note
Dialogue: 1,0:00:03.00,0:00:04.50,Default,,0,0,0,,{\\an8}only 89 euros,\\Nin {\\b1}blue{\\b0}
Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,the Trail\\h2
Dialogue: 0,0:00:01.00,0:00:02.50,Glow,,0,0,0,,the Trail\\h2
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}
"""


def test_substation_alpha() -> None:
    assert parse_captions(ASS) == [
        TimedText(1.0, 2.5, "the Trail 2", "caption"),
        TimedText(3.0, 4.5, "only 89 euros, in blue", "caption"),
    ]


@pytest.mark.parametrize(
    "text",
    ["9" * 3_000_000, "<" * 3_000_000, "0:00:01,0 --> " * 200_000, "{" * 3_000_000, "Dialogue: " + "," * 3_000_000],
    ids=["digits", "brackets", "arrows", "braces", "commas"],
)
def test_long_lines_take_no_quadratic_time(text: str) -> None:
    start = time.perf_counter()
    parse_captions(f"{text}\n00:01.000 --> 00:02.000\nhello")
    assert time.perf_counter() - start < 3.0


@given(st.text("0123456789:.,->{\\}N\n <i&#x;Dialogue", max_size=200))
def test_near_captions_are_survived(text: str) -> None:
    assert all(0 <= piece.start <= piece.end and piece.text for piece in parse_captions(text))


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["title", "start_time"]), inner),
    max_leaves=8,
)
NAMES = ["title", "description", "tags", "hashtags", "language", "chapters", "subtitles"]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_any_info_is_survived(info: dict[str, object]) -> None:
    post = parse_info(json.dumps(info))
    assert all(0 <= piece.start <= piece.end and piece.text for piece in post.chapters)
    assert isinstance(post.title, str) and all(isinstance(tag, str) for tag in post.hashtags)


def test_hostile_info(tmp_path: Path) -> None:
    deep = write(tmp_path / "a.info.json", "[" * 200_000)
    assert "a.info.json: left aside" in read_sidecars([deep]).problems[0]
    write(deep, json.dumps({"title": ["x"], "description": 7, "tags": "x", "subtitles": [], "chapters": {}}))
    assert read_sidecars([deep]).post == Post()
    long = parse_info(
        json.dumps({"title": "t", "description": "word " * 10_000, "tags": [f"t{i}" for i in range(999)]})
    )
    assert len(long.caption) == 10_000 and len(long.hashtags) == 100
    assert parse_info('{"language": "haw-US"}').language == "haw"
    assert parse_info('{"language": "deu"}').language == "de"


def test_encodings_and_damage(tmp_path: Path) -> None:
    srt, info = tmp_path / "a.srt", tmp_path / "a.info.json"
    srt.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nCafé\n".encode("utf-16"))
    info.write_bytes(b'{"title": ')
    sidecars = read_sidecars([srt, info])
    assert [piece.text for piece in sidecars.captions] == ["Café"]
    assert len(sidecars.problems) == 1 and sidecars.problems[0].startswith("a.info.json: left aside")
    srt.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nUn café très serré, à emporter\n".encode("cp1252"))
    assert [piece.text for piece in read_sidecars([srt]).captions] == ["Un café très serré, à emporter"]
    srt.write_text("no cues here")
    assert read_sidecars([srt]).problems == ["a.srt: left aside (holds no captions)"]


def test_a_sidecar_that_cannot_be_opened_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "clip.srt").mkdir()
    assert read_sidecars([tmp_path / "clip.srt"]).problems == ["clip.srt: left aside (Is a directory)"]
