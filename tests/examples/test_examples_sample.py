"""The sample is what its README says: counts, ids, judgements, media that open."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from llmrec.evaluate.qrels import read_qrels
from llmrec.records import Content
from llmrec.storage import read_records

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Spare parts that share a family's code but are no variant of its product.
ACCESSORIES = {"GPF-03", "MGT-03"}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (EXAMPLES / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def contents() -> list[Content]:
    return list(read_records(EXAMPLES / "contents.jsonl", Content))


@pytest.fixture(scope="module")
def no_match() -> list[str]:
    return (EXAMPLES / "no_match.txt").read_text(encoding="utf-8").split()


def test_catalog_is_large_varied_and_has_unique_ids(rows: list[dict[str, str]]) -> None:
    assert len(rows) == len({row["sku"] for row in rows}) == 414
    languages = Counter(row["language"] for row in rows)
    assert set(languages) == {"en", "de", "fr", "es", "ja", "zh", "ar", "th"}
    assert sum(languages.values()) - languages["en"] == 41
    english = {row["category"].split(" > ")[0] for row in rows if row["language"] == "en"}
    assert len(english) == 15
    assert all(row["title"].strip() and re.search(r"\d", row["price"]) for row in rows)
    assert sum("<p>" in row["description"] or "<ul>" in row["description"] for row in rows) > 10


def test_catalog_has_variants_that_differ_in_little(rows: list[dict[str, str]]) -> None:
    families = Counter(row["sku"][:4] for row in rows)
    assert sum(1 for size in families.values() if size >= 3) > 80


def test_article_numbers_are_of_the_range_for_use_inside_a_shop(rows: list[dict[str, str]]) -> None:
    for row in rows:
        digits = [int(digit) for digit in row["ean"]]
        assert len(digits) == 13
        assert row["ean"].startswith("20")
        assert sum(digit * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0


def test_the_script_writes_the_committed_catalog(tmp_path: Path) -> None:
    import subprocess
    import sys

    target = tmp_path / "catalog.csv"
    script = EXAMPLES / "make" / "catalog.py"
    subprocess.run([sys.executable, str(script), "-o", str(target)], check=True, capture_output=True)
    assert target.read_bytes() == (EXAMPLES / "catalog.csv").read_bytes()


def test_contents_are_of_every_kind_and_language(contents: list[Content]) -> None:
    assert len(contents) == len({content.id for content in contents}) == 44
    assert Counter(content.kind for content in contents) == {"video": 15, "live": 7, "search": 15, "post": 7}
    assert {content.language for content in contents} == {"en", "de", "fr", "es", "ja", "zh", "ar", "th"}
    chats = [content for content in contents if any(line.source == "chat" for line in content.timed_text)]
    assert len(chats) == 4
    for content in contents:
        assert content.media or content.timed_text or content.title or content.caption
        assert all(line.start <= line.end for line in content.timed_text)


def test_judgements_name_what_exists_and_agree_with_each_other(
    rows: list[dict[str, str]], contents: list[Content], no_match: list[str]
) -> None:
    skus = {row["sku"] for row in rows}
    graded, exact = read_qrels(EXAMPLES / "qrels.tsv"), read_qrels(EXAMPLES / "qrels-exact.tsv")
    ids = [content.id for content in contents]
    assert list(graded) == list(exact) == ids
    assert [content for content in ids if not graded[content]] == no_match
    assert len(no_match) == 7
    assert sum(bool(content.media) for content in contents if content.id in no_match) == 3
    for content in set(ids) - set(no_match):
        right = {sku for sku, grade in graded[content].items() if grade == 2}
        assert right
        assert exact[content] == dict.fromkeys(right, 1)
        family = {sku for sku in skus if sku[:4] in {other[:4] for other in right}} - ACCESSORIES
        assert graded[content] == {sku: 2 if sku in right else 1 for sku in family}
    assert sum(len(products) > 1 for products in exact.values()) == 3


def test_contents_do_not_copy_the_titles_of_their_products(rows: list[dict[str, str]], contents: list[Content]) -> None:
    titles = {row["sku"]: row["title"].casefold() for row in rows}
    exact = read_qrels(EXAMPLES / "qrels-exact.tsv")
    for content in contents:
        words = [content.title, content.caption, *(line.text for line in content.timed_text)]
        text = " ".join(words).casefold()
        assert not [sku for sku in exact[content.id] if titles[sku] in text]


def test_media_are_small_and_lie_where_the_contents_say(contents: list[Content]) -> None:
    named = [content.media for content in contents if content.media]
    assert len(named) == len(set(named)) == 18
    assert {path.relative_to(EXAMPLES).as_posix() for path in (EXAMPLES / "media").iterdir()} == set(named)
    sizes = [(EXAMPLES / path).stat().st_size for path in named]
    assert sum(sizes) < 6_000_000
    assert min(sizes) > 20_000


def test_media_open_and_have_pictures_and_sound(contents: list[Content]) -> None:
    av = pytest.importorskip("av", reason="needs the extra 'video'")
    shapes = Counter()
    for content in contents:
        if not content.media:
            continue
        with av.open(str(EXAMPLES / content.media)) as container:
            video, sound = container.streams.video[0], container.streams.audio[0]
            first = next(container.decode(video))
            assert first.width == video.width
            assert 6.0 <= container.duration / av.time_base <= 16.0, content.id
            assert sound.codec_context.channels == 1
            shapes["tall" if video.height > video.width else "wide"] += 1
    assert shapes == {"wide": 12, "tall": 6}
