"""Chats that were saved beside a recording: each saver's form, and files that nobody should have to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.records import TimedText
from llmrec.video import chat
from llmrec.video.chat import messages_of, read_chat, seconds_of
from llmrec.video.sidecars import read_sidecars


def chat_file(folder: Path, *lines: Any, name: str = "clip.live_chat.json") -> Path:
    path = folder / name
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def said(*pieces: tuple[float, str]) -> list[TimedText]:
    return [TimedText(time, time, text, "chat") for time, text in pieces]


def youtube(milliseconds: str, renderer: str, item: dict[str, Any], action: str = "addChatItemAction") -> dict:
    return {
        "replayChatItemAction": {
            "actions": [{"clickTrackingParams": "x", action: {"item": {renderer: item}, "clientId": "y"}}],
            "videoOffsetTimeMsec": milliseconds,
        }
    }


def test_youtube_as_yt_dlp_saves_it(tmp_path: Path) -> None:
    words = {"runs": [{"text": "how much is "}, {"emoji": {"emojiId": "🔵"}}, {"text": "the blue one?"}]}
    emote = {"runs": [{"emoji": {"emojiId": "UCx/abc", "shortcuts": [":hi:"]}}]}
    product = {"title": "Trail 2", "price": {"simpleText": "€89"}, "vendorName": "Acme", "thumbnail": {"x": "pic"}}
    path = chat_file(
        tmp_path,
        youtube("5250", "liveChatTextMessageRenderer", {"message": words, "authorName": {"simpleText": "Al"}}),
        youtube("6000", "liveChatTextMessageRenderer", {"message": emote}),
        youtube("7000", "liveChatPaidMessageRenderer", {"message": {"runs": [{"text": "take my money"}]}}),
        youtube("7000", "liveChatTickerPaidMessageItemRenderer", {"message": "x"}, "addLiveChatTickerItemAction"),
        youtube("8000", "liveChatProductItemRenderer", product),
        {"clickTrackingParams": "x", "replayChatItemAction": {"videoOffsetTimeMsec": "-3000", "actions": []}},
        youtube("-3000", "liveChatTextMessageRenderer", {"message": {"simpleText": "first!"}}),
    )
    found, problem = read_chat(path)
    assert problem == ""
    assert found == said(
        (0.0, "first!"), (5.25, "how much is 🔵the blue one?"), (7.0, "take my money"), (8.0, "Trail 2 €89 Acme")
    )


@pytest.mark.parametrize("indent", [None, 2])
def test_twitch(tmp_path: Path, indent: int | None) -> None:
    body = {"body": "which size is that?", "fragments": [{"text": "which size"}]}
    downloader = {
        "FileInfo": {"x": 1},
        "video": {"title": "t"},
        "comments": [{"content_offset_seconds": 12, "message": body}],
    }
    path = chat_file(tmp_path, json.dumps(downloader, indent=indent), name="clip.chat.json")
    assert read_chat(path) == (said((12, "which size is that?")), "")
    parts = {"fragments": [{"text": "is it "}, {"text": "waterproof"}]}
    rechat = [{"id": "1", "contentOffsetSeconds": 3, "message": parts}]
    path = chat_file(tmp_path, json.dumps(rechat, indent=indent), name="clip.rechat.json")
    assert read_chat(path) == (said((3, "is it waterproof")), "")


def test_chat_downloader_and_plain_lines(tmp_path: Path) -> None:
    lines = [
        {"time_in_seconds": -2.5, "message": "hello", "timestamp": 1_700_000_000_000_000},
        {"time_in_seconds": 61.2, "message": "the blue one?", "message_type": "text_message"},
    ]
    wanted = said((0.0, "hello"), (61.2, "the blue one?"))
    assert read_chat(chat_file(tmp_path, *lines)) == (wanted, "")
    assert read_chat(chat_file(tmp_path, json.dumps(lines, indent=1))) == (wanted, "")
    plain = [{"time": "1:01.2", "text": "the blue  one?"}, {"t": 0, "msg": "hello"}]
    assert read_chat(chat_file(tmp_path, *plain)) == (wanted, "")


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    path = chat_file(
        tmp_path,
        {"time": 1, "text": "one"},
        '{"time": NaN, "text": "two"}\n{"time": 1e999, "text": "three"}\n',
        {"timestamp": 1_700_000_000, "text": "a date is no time"},
        "[" * 100_000 + "\n",
        "not json\n",
        "x" * (3 << 20) + "\n",
        {"time": True, "text": "five"},
        {"time": 2, "text": "two"},
        '{"time": 3, "te',
    )
    assert read_chat(path) == (said((1, "one"), (2, "two")), "8 entries cannot be read")
    sidecars = read_sidecars([path])
    assert sidecars.captions == said((1, "one"), (2, "two"))
    assert sidecars.problems == ["clip.live_chat.json: 8 entries cannot be read"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_byte_order(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.chat.jsonl"
    path.write_bytes('{"time": 1, "text": "Grüße"}\n{"time": 2, "text": "zwei"}\n'.encode(encoding))
    assert read_chat(path) == (said((1, "Grüße"), (2, "zwei")), "")


def test_files_without_messages_are_left_aside(tmp_path: Path) -> None:
    for number, text in enumerate(["", "{}", "[]", "[[[[", '{"comments": [1, null]}', "\0" * 100]):
        path = chat_file(tmp_path, text, name=f"{number}.chat.json")
        (problem,) = read_sidecars([path]).problems
        assert problem.startswith(f"{number}.chat.json: left aside (holds no messages"), text


def test_of_too_many_messages_every_second_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MAX_MESSAGES", 4)
    path = chat_file(tmp_path, *({"time": i, "text": f"no {i}"} for i in range(1, 11)))
    assert read_chat(path) == (said((4, "no 4"), (8, "no 8")), "2 of 10 messages kept")


def test_a_document_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MAX_DOCUMENT", 1000)
    path = chat_file(tmp_path, json.dumps([{"time": 1, "text": "x" * 2000}], indent=1))
    with pytest.raises(ValueError, match="larger than"):
        read_chat(path)


def test_clocks() -> None:
    times = ["0:05", "1:02:03.5", "-0:02", "12.5", " 7 ", 3, "x", None, "", "1e400", [], 10**400]
    assert [seconds_of(t) for t in times] == [5, 3723.5, -2, 12.5, 7, 3, None, None, None, None, None, None]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["time", "message", "text", "runs", "comments", "replayChatItemAction", "actions", "emoji"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_survived(value: Any) -> None:
    for message in messages_of(value):
        assert message is None or (message[0] is None or abs(message[0]) < float("inf"))


@given(st.lists(st.tuples(st.integers(-9999, 10**6), st.text("ab é商", min_size=1, max_size=9)), max_size=9))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, str]]) -> None:
    lines = [(time, f"{number} {text}") for number, (time, text) in enumerate(lines)]
    values = [{"time": time / 100, "text": text} for time, text in [(0, "hi"), *lines]]
    path = chat_file(tmp_path_factory.mktemp("chat"), *values)
    wanted = [(max(0.0, time / 100), " ".join(text.split())) for time, text in [(0, "hi"), *lines]]
    assert read_chat(path)[0] == said(*sorted(wanted, key=lambda piece: piece[0]))
