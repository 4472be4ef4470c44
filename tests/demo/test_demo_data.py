"""What the demo takes from a folder, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec.demo import find_data, sample_folder
from llmrec.errors import InputError
from llmrec.records import Content
from llmrec.storage import write_records


def test_the_sample_is_found() -> None:
    found = find_data(None)
    assert found.folder == sample_folder()
    assert found.own_catalog and found.qrels is not None
    assert found.without_match <= {content.id for content in found.contents}


def test_a_folder_of_media_gets_the_sample_catalog(tmp_path: Path) -> None:
    for name in ("clip.MP4", "photo.jpg", "song.mp3", "notes.md"):
        (tmp_path / name).touch()
    found = find_data(tmp_path)
    assert [(c.id, c.kind, c.media) for c in found.contents] == [
        ("clip.MP4", "video", "clip.MP4"),
        ("photo.jpg", "post", "photo.jpg"),
        ("song.mp3", "video", "song.mp3"),
    ]
    assert not found.own_catalog and found.catalog == sample_folder() / "catalog.csv"


def test_contents_and_a_catalog_of_ones_own(tmp_path: Path) -> None:
    write_records(tmp_path / "contents.jsonl", [Content("q", "search", title="mug")], Content)
    (tmp_path / "shop.csv").write_text("id,title\n1,mug\n")
    found = find_data(tmp_path)
    assert [content.id for content in found.contents] == ["q"]
    assert found.catalog == tmp_path / "shop.csv" and found.qrels is None


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_data(tmp_path / "absent")
    with pytest.raises(InputError, match="holds nothing to match"):
        find_data(tmp_path)
    (tmp_path / "clip.mp4").touch()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"several files may be the catalog: a\.csv, b\.csv"):
        find_data(tmp_path)
    (tmp_path / "catalog.csv").touch()
    assert find_data(tmp_path).catalog.name == "catalog.csv"
