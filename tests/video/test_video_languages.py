"""Tags of languages, as files and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec.errors import InputError
from llmrec.video import WatchSettings
from llmrec.video.languages import SPOKEN, TWO_LETTERS, code_of, same_language
from llmrec.video.sidecars import parse_info, read_sidecars, sidecar_files


@pytest.mark.parametrize(
    ("tag", "code"),
    [("de", "de"), ("deu", "de"), ("ger", "de"), ("de-AT", "de"), (" DE_at ", "de"), ("zh_Hans", "zh"), ("nb-NO", "no"),
     ("haw-US", "haw"), ("german", ""), ("x", ""), ("", ""), ("../x", "")],
)  # fmt: skip
def test_one_code_for_each_language(tag: str, code: str) -> None:
    assert code_of(tag) == code


def test_same_language() -> None:
    assert same_language("deu", "de-CH")
    assert not same_language("de", "nl")
    assert not same_language("", "")
    assert not same_language("german", "german")  # names are no tags


def test_what_can_be_heard_is_what_the_speech_library_knows() -> None:
    tokenizer = pytest.importorskip("faster_whisper.tokenizer")
    assert frozenset(tokenizer._LANGUAGE_CODES) == SPOKEN
    assert set(TWO_LETTERS.values()) <= SPOKEN


@pytest.mark.parametrize("tag", ["EN", "eng", "en-US", "en"])
def test_settings_hold_the_code(tag: str) -> None:
    assert WatchSettings(language=tag) == WatchSettings(language="en")


@pytest.mark.parametrize("tag", ["klingon", "German", "xx", "-", " "])
def test_a_language_that_is_none_is_refused_at_once(tag: str) -> None:
    with pytest.raises(InputError, match=r"is no language that can be heard.*\n.*'de'"):
        WatchSettings(language=tag)


def test_captions_may_be_wanted_in_a_language_that_nobody_hears() -> None:
    assert WatchSettings(language="gle", speech="none").language == "gle"


def test_captions_named_by_other_codes_than_the_wanted_one(tmp_path: Path) -> None:
    for tag, words in (("eng", "hello"), ("deu", "hallo"), ("pt_BR", "oi")):
        (tmp_path / f"clip.{tag}.srt").write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n")
    media = tmp_path / "clip.mp4"
    for wanted, words in (("de", "hallo"), ("ger", "hallo"), ("pt", "oi"), ("en-US", "hello")):
        files = sidecar_files(media, wanted)
        assert [piece.text for piece in read_sidecars(files, wanted).captions] == [words]
        assert code_of(files[0].name.split(".")[1]) == code_of(wanted)
    (tmp_path / "clip.info.json").write_text('{"language": "de"}')
    assert [piece.text for piece in read_sidecars(sidecar_files(media)).captions] == ["hallo"]
    assert parse_info('{"language": "ger"}').language == "de"
