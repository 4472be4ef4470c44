"""``llmrec index build --image-encoder`` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import llmrec.embed
from llmrec.cli import app
from tests.fakes import FakeImageEncoder

CATALOG = "id,title,images\na,red cup,photos/cup.png\nb,blue hat,https://shop.example/hat.jpg\nc,bowl,photos/none.png\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["index", *map(str, arguments)])


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop" / "photos").mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(tmp_path / "shop" / "photos" / "cup.png")
    path = tmp_path / "shop" / "products.csv"
    path.write_text(CATALOG, encoding="utf-8")
    monkeypatch.setattr(llmrec.embed, "load_image_encoder", lambda reference, **_: FakeImageEncoder())
    return path


def test_pictures_are_found_beside_the_catalog_and_told(catalog: Path, tmp_path: Path) -> None:
    options = ("--encoder", "none", "--image-encoder", "fake:images")
    result = run("build", catalog, "-o", tmp_path / "index", *options)
    assert result.exit_code == 0, result.output
    assert "pictures: fake:images, 3 dimensions, 1 pictures of 1 products" in result.stdout
    assert "pictures that are web addresses: 1 (they are not fetched)" in result.stdout
    assert "pictures that cannot be read: 1, such as" in result.stdout
    assert "pictures: fake:images" in run("info", tmp_path / "index").stdout
    elsewhere = run("build", catalog, "-o", tmp_path / "other", *options, "--images-root", tmp_path)
    assert "0 pictures of 0 products" in elsewhere.stdout


def test_files_of_several_folders_need_a_root(catalog: Path, tmp_path: Path) -> None:
    second = tmp_path / "more.csv"
    second.write_text("id,title\nd,pan\n", encoding="utf-8")
    options = ("-o", tmp_path / "index", "--encoder", "none", "--image-encoder", "fake:images")
    result = run("build", catalog, second, *options)
    assert result.exit_code == 2 and "several folders" in result.stderr
    assert run("build", catalog, second, *options, "--images-root", catalog.parent).exit_code == 0
