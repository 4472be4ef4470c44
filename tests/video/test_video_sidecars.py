"""Captions and descriptions that lie beside a video."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.records import TimedText
from llmrec.video.sidecars import Post, parse_captions, parse_info, read_sidecars, sidecar_files

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
    assert [p.name for p in sidecar_files(media)] == ["clip.de.vtt", "clip.info.json"]
    assert [p.name for p in sidecar_files(media, "en")] == ["clip.en.srt", "clip.info.json"]
    (tmp_path / "clip.srt").touch()
    assert [p.name for p in sidecar_files(media)] == ["clip.srt", "clip.info.json"]


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
