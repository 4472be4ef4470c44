"""From a clip and photos of products to a match by picture, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import llmrec.embed
from llmrec.cli import app
from tests.fakes import FakeImageEncoder
from tests.video.clips import picture, write_clip

COLOURS = ("red", "green", "blue")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(llmrec.embed, "load_image_encoder", lambda reference, **_: FakeImageEncoder())
    rows = ["id,title,images"]
    for colour in COLOURS:
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{colour}.png")
        rows.append(f"{colour},enamel mug,{colour}.png")
    (tmp_path / "products.csv").write_text("\n".join(rows), encoding="utf-8")
    options = ("--encoder", "none", "--image-encoder", "fake:images")
    built = run("index", "build", tmp_path / "products.csv", "-o", tmp_path / "shop.index", *options)
    assert built.exit_code == 0, built.output
    (tmp_path / "clips").mkdir()
    scene = picture(ground="blue")
    scene.paste("white", (0, 0, 40, 240))
    write_clip(tmp_path / "clips" / "a.mp4", [(2.0, scene)])
    return tmp_path


def found(path: Path) -> list[dict[str, object]]:
    (match,) = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return match["products"]


def test_a_watched_clip_is_matched_by_its_frames(shop: Path) -> None:
    contents = shop / "out" / "contents.jsonl"
    quiet = ("--speech", "none", "--no-ocr", "--no-isolate")
    seen = run("watch", shop / "clips" / "a.mp4", "-o", contents, "--vision", "fake:images", *quiet)
    assert seen.exit_code == 0, seen.output
    content = json.loads(contents.read_text(encoding="utf-8"))
    assert content["image_encoder"] == "fake-images" and content["keyframes"][0]["vector"]
    matches = shop / "matches.jsonl"
    result = run("match", contents, "--index", shop / "shop.index", "-o", matches)
    assert result.exit_code == 0, result.output
    best = found(matches)[0]
    assert best["product_id"] == "blue"
    (evidence,) = best["evidence"]
    assert (evidence["source"], evidence["field"], evidence["text"]) == ("vision", "images", "")
    assert (contents.parent / evidence["frame"]).is_file()
    assert best["shown"][0]["start"] <= evidence["start"] <= best["shown"][0]["end"]
    blind = run("match", contents, "--index", shop / "shop.index", "-o", matches, "--no-vision")
    assert blind.exit_code == 0 and found(matches) == []


def test_frames_watched_before_without_vectors_are_read_from_beside_the_contents(shop: Path) -> None:
    contents = shop / "out" / "contents.jsonl"
    quiet = ("--speech", "none", "--no-ocr", "--no-isolate")
    assert run("watch", shop / "clips" / "a.mp4", "-o", contents, *quiet).exit_code == 0
    matches = shop / "matches.jsonl"
    assert run("match", contents, "--index", shop / "shop.index", "-o", matches).exit_code == 0
    assert found(matches)[0]["product_id"] == "blue"


class NoText:
    """Reads nothing: the reader of on-screen text takes long to load."""

    def __init__(self, settings: object) -> None:
        pass

    def read(self, image: object) -> list[object]:
        return []


def test_a_clip_is_watched_and_matched_in_one_go(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.watcher.RapidReader", NoText)
    matches, options = shop / "matches.jsonl", ("--speech", "none", "--frames", shop / "frames", "--no-isolate")
    result = run("match", shop / "clips" / "a.mp4", "--index", shop / "shop.index", "-o", matches, *options)
    assert result.exit_code == 0, result.output
    best = found(matches)[0]
    assert best["product_id"] == "blue" and Path(best["evidence"][-1]["frame"]).is_file()  # type: ignore[index]
