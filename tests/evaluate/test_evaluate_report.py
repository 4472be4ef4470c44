"""The page: whole in itself, safe against hostile text, and with what a reader looks for."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from llmrec.errors import InputError
from llmrec.evaluate import ScoredPair, evaluate_matches, evaluate_pairs, evaluate_summaries
from llmrec.evaluate.report import read_evaluation, render_report, write_report
from llmrec.records import (
    Content,
    Evidence,
    Keyframe,
    Match,
    NoMatch,
    Product,
    ProductSummary,
    RankedProduct,
    TimedText,
)

EVIL = [
    "<script>alert(1)</script> {{ 7 * 7 }}{% for x in y %} &lt;b&gt; $x_1$ \u202e",
    """"><img src=x onerror=alert(1)> '><svg/onload=alert(1)> </style></title><script>1</script>""",
]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Page:
    parser = Page()
    parser.feed(page)
    return parser


def hostile(evil: str) -> str:
    products = (
        RankedProduct(evil, 1, 2.0, None, (Evidence("speech", 1.0, 2.0, evil, evil),)),
        RankedProduct("p", 2, 1.0),
    )
    matches = [
        Match(evil, products, NoMatch(False, 0.5)),
        Match("b", (RankedProduct(evil, 1, 1.0),), NoMatch(False, 0.1)),
    ]
    contents = [Content(evil, "video", title=evil, hashtags=(evil,), timed_text=(TimedText(0, 1, evil, "screen"),))]
    catalog = [Product(evil, evil, brand=evil), Product("p", evil)]
    found = evaluate_matches(
        matches, {evil: {"p": 2}, "b": {}}, baseline={evil: {"p": 1.0}}, contents=contents, catalog=catalog, name=evil,
        baseline_name=evil, resamples=100,
    )  # fmt: skip
    summary = ProductSummary(evil, evil, evil, problems=(evil,))
    summed = evaluate_summaries([summary], {evil: [evil + " x"]}, name=evil, resamples=100)
    paired = evaluate_pairs(
        [ScoredPair(evil, evil, True, 0.1), ScoredPair("a", evil, False, 0.9)], name=evil, resamples=100
    )
    return render_report([found, summed, paired], title=evil)


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_text_stays_text(evil: str) -> None:
    page = parsed(hostile(evil))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert "img" not in names
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
    assert page.text.count(evil) >= 12  # shown as it is, wherever it stands
    assert "49" not in page.text.split("Worst misses first")[1].split("How to read")[0]


def test_nothing_is_fetched() -> None:
    page = hostile("plain")
    for tag, attributes in parsed(page).tags:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                assert value and value.startswith(("#", "data:")), (tag, name, value)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(re.findall(r"<svg", page)) >= 6 and ids


def test_what_a_reader_looks_for() -> None:
    contents = [f"c{i}" for i in range(12)]
    qrels = {c: {"p": 1} for c in contents}
    good = {c: {"p": 1.0, "q": 0.5} for c in contents[:-1]} | {"c11": {"q": 2.0}}
    bad = {c: {"q": 2.0, "p": 1.0} for c in contents}
    result = evaluate_matches(good, qrels, metrics=["recall@1", "mrr"], baseline=bad, name="good", baseline_name="bad")
    page = parsed(render_report([result]))
    text = " ".join(page.text.split())
    value, p = result.metrics["recall@1"], result.comparison["recall@1"]
    assert f"{value.value:.3f}" == "0.917" and "0.917" in text
    assert value.low is not None and f"{value.low:.3f} – {value.high:.3f}" in text
    assert p.p_value == pytest.approx(26 / 2**12 / 1) or "0.0" in text
    assert "Compared with bad" in text and "1 of 12 contents were answered wrong" in text
    assert "c11" in text and "not found" in text and "not in the list" in text
    assert "better" in {name for _, a in page.tags for name in (a.get("class") or "").split()}


def test_stills_are_embedded_small_and_only_from_the_folder(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "contents"
    folder.mkdir()
    Image.new("RGB", (1600, 900), "red").save(folder / "in.png")
    Image.new("RGB", (10, 10), "red").save(tmp_path / "out.png")
    (folder / "fake.png").write_bytes(b"not an image <script>")
    (folder / "link.png").symlink_to(tmp_path / "out.png")

    bad = ("../out.png", str(tmp_path / "out.png"), "link.png", "fake.png", "none.png", "", "in\x00.png")
    contents = [Content(f"c{i}", "video", keyframes=(Keyframe(0.0, path),)) for i, path in enumerate(("in.png", *bad))]
    result = evaluate_matches({}, {content.id: {"p": 1} for content in contents}, contents=contents, resamples=100)
    assert len(result.misses) == len(contents)
    shown = [a["src"] for tag, a in parsed(render_report([result], image_folders=[folder])).tags if tag == "img"]
    assert len(shown) == 1 and shown[0] and shown[0].startswith("data:image/jpeg;base64,") and len(shown[0]) < 20_000


def test_results_are_read_back(tmp_path: Path) -> None:
    result = evaluate_pairs([ScoredPair("a", "b", True, 0.5)], resamples=100)
    (tmp_path / "r.json").write_bytes(msgspec.json.encode(result))
    assert read_evaluation(tmp_path / "r.json") == result
    (tmp_path / "bad.json").write_text('{"kind": "other"}')
    with pytest.raises(InputError, match="not an evaluation"):
        read_evaluation(tmp_path / "bad.json")
    with pytest.raises(InputError, match="No such file"):
        read_evaluation(tmp_path / "none.json")


def test_page_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    result = evaluate_matches(
        {"a": {"p": 1.0}, "\ud800": {"p": 1.0}}, {"a": {"p": 1}, "\ud800": {"q": 1}}, resamples=100
    )
    write_report(tmp_path / "a.html", [result])
    write_report(tmp_path / "b.html", [result])
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert "</html>" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]
