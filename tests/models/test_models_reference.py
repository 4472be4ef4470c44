"""What a reference names, and what is said about one that names nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import ModelError
from llmrec.models.reference import Reference, parse


def test_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "m.GGUF").write_bytes(b"GGUF")
    assert parse("starter:minilm") == Reference("starter", "minilm")
    assert parse("model") == Reference("folder", str(tmp_path / "model"))
    assert parse("./m.GGUF") == Reference("gguf", str(tmp_path / "m.GGUF"))
    assert parse("Qwen/Qwen2.5-0.5B") == Reference("hub", "Qwen/Qwen2.5-0.5B")
    assert parse("Qwen/Qwen2.5-0.5B@v1") == Reference("hub", "Qwen/Qwen2.5-0.5B", "v1")
    assert parse("a/b@refs/pr/1") == Reference("hub", "a/b", "refs/pr/1")
    assert parse("a/b", "v1") == parse("a/b@v1", "v1") == Reference("hub", "a/b", "v1")
    assert parse("hub:gpt2") == Reference("hub", "gpt2")


def test_a_folder_named_like_a_hub_id_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert parse("org/name") == Reference("folder", str(tmp_path / "org" / "name"))
    assert parse("hub:org/name") == Reference("hub", "org/name")


@pytest.mark.parametrize(
    ("reference", "message", "suggestion"),
    [
        ("starter:minlm", "no such starter", "starter:minilm"),
        ("starter:whisper", "no such starter", "starter:whisper-base or starter:whisper-tiny.en"),
        ("minilm", "no such model", "starter:minilm"),
        ("SmolLM2", "no such model", "starter:smollm2-135m"),
        ("zzz", "no such model", "starter:NAME"),
        ("./nowhere", "no such folder", "a model folder"),
        ("a/b/c", "no such folder", "org/name"),
        ("nowhere.gguf", "no such file", "path of the .gguf"),
        ("org/name@", "not a hub id", "org/name@revision"),
        ("org/na me", "not a hub id", "org/name"),
        ("", "empty", "starter:NAME"),
        ("x/" + "y" * 5000, "cannot be a path", "starter:NAME"),
        ("~nobody-of-this-name/x", "cannot be a path", "starter:NAME"),
        (__file__, "not a .gguf file", "a model folder"),
    ],
)
def test_what_names_nothing(reference: str, message: str, suggestion: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        parse(reference)
    assert suggestion in caught.value.next_step
    assert caught.value.exit_code == 2


def test_only_the_hub_has_revisions() -> None:
    with pytest.raises(ModelError, match="only a hub model has revisions"):
        parse("starter:minilm", "v1")
    with pytest.raises(ModelError, match="names revision v1, but v2"):
        parse("a/b@v1", "v2")


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except ModelError as error:
        assert error.next_step
    else:
        assert parsed.form in {"starter", "folder", "gguf", "hub"}
