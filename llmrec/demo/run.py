"""The main job end to end: import a catalog, watch clips, index, match, explain, summarise, measure, show.

``llmrec demo`` runs it on the shipped sample; ``llmrec demo --data DIR`` on a folder of the user's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from llmrec.catalog import import_catalog
from llmrec.demo.data import DemoData, find_data
from llmrec.demo.page import PageData, Tile, write_page
from llmrec.errors import InputError, LlmrecError
from llmrec.records import Content, Intent, Match, Product, ProductSummary
from llmrec.storage import fingerprint, read_records, write_records

if TYPE_CHECKING:
    from llmrec.evaluate import Estimate
    from llmrec.index import Index
    from llmrec.seams import Generator

ENCODER = "starter:minilm"
CHAT_MODEL = "starter:smollm2-135m"
SPEECH_MODEL = "starter:whisper-base"
#: A tower of pictures, and the encoder of the names of what it knows: finds a bottle that nobody speaks of.
IMAGE_TOWER = "starter:mobilenet-v2"
IMAGE_ENCODER = f"{IMAGE_TOWER}+{ENCODER}"
#: Products that the language model summarises.
SUMMARIES = 12


class DemoResult(msgspec.Struct, frozen=True):
    """What the demo made; ``metrics`` is empty where no truth is known, ``titles`` are of the products found."""

    products: int
    contents: int
    page: str
    matches_path: str
    seconds: dict[str, float]
    metrics: dict[str, float]
    matches: list[Match]
    titles: dict[str, str]


def run_demo(
    data: Path | None = None,
    output: str | Path = "demo-output",
    *,
    chat_model: str = CHAT_MODEL,
    say: Callable[[str], None] = lambda line: None,
) -> DemoResult:
    """Run the main job and write everything it makes into ``output``.

    Args:
        data: A folder with a catalog and contents or media; the shipped sample if None.
        output: Folder for ``catalog.jsonl``, ``contents.jsonl``, ``index/``, ``matches.jsonl``, ``summaries.jsonl``,
            ``intents.jsonl`` and ``report.html``.
        chat_model: The language model that writes intents and summaries; ``"none"`` leaves them out.
        say: Told what is being done, a line at a time.

    Raises:
        LlmrecError: Bad input or a step that failed; what was finished is kept and not done again.
    """
    found = find_data(data)
    out = Path(output)
    seconds: dict[str, float] = {}

    @contextmanager
    def step(name: str, line: str) -> Iterator[None]:
        say(line)
        start = time.perf_counter()
        yield
        seconds[name] = round(time.perf_counter() - start, 1)

    with step("models", "models: fetching what is not cached yet"):
        _models(chat_model, any(content.media for content in found.contents))
    with step("import", f"import: {found.catalog}"):
        if not found.own_catalog:
            say("  no catalog in the folder: matching against the sample's")
        try:
            report = import_catalog([found.catalog], out / "catalog.jsonl", out / "rejects.jsonl")
        except InputError as error:
            remedy = "Read it by 'llmrec catalog import -o catalog.jsonl', and put that into the folder instead."
            raise InputError(error.message, next_step=f"{remedy} For the import: {error.next_step}") from error
        say(f"  {report.kept} products, {report.rejected_total} rows rejected")
        products = {product.id: product for product in read_records(out / "catalog.jsonl", Product)}
    with step("watch", "watch: frames, on-screen text and speech"):
        contents = _watch(found, out, say)
    with step("index", "index: BM25 and vectors over titles and whole texts, and what pictures may look like"):
        index = _index(products, out, found)
    generator = None
    if chat_model != "none":
        from llmrec.llm import load_generator

        generator = load_generator(chat_model)
    with step("match", "match: searching, fusing, explaining"):
        from llmrec.match import Matcher

        # all media has been watched; keyframes are found from the folder of the contents file
        seen = [msgspec.structs.replace(content, media="") for content in contents]
        matches = list(Matcher(index).match(seen, folder=out))
        write_records(out / "matches.jsonl", matches, Match)
    intents: dict[str, tuple[Intent, ...]] = {}
    summaries: dict[str, ProductSummary] = {}
    if generator is not None:
        # a language model is the slowest part on a CPU: the demo lets it write about what the page shows first
        clips = [content for content in contents if content.timed_text]
        with step("summarize", f"summarize: {chat_model} on the clips, and on the first products found for them"):
            names = {content.id for content in clips}
            firsts = {m.products[0].product_id for m in matches if m.products and m.content_id in names}
            summaries = _summaries(generator, [products[id] for id in sorted(firsts)[:SUMMARIES]], out)
            intents = _intents(generator, clips, out)

    truth = _truth(found)
    metrics, tiles = _metrics(matches, truth)
    total = sum(seconds.values())
    tiles = [Tile("products", str(len(products))), Tile("contents", str(len(contents))), *tiles]
    write_page(
        out / "report.html",
        PageData(
            title="What is being sold here?",
            lead="Clips, streams, searches and posts on the left; the products found for each, and why, on the right.",
            tiles=[*tiles, Tile("seconds, models cached", f"{total - seconds['models']:.0f}")],
            contents=contents,
            matches=matches,
            products=products,
            summaries=summaries,
            intents=intents,
            truth=truth,
            footer=f"llmrec: encoder {ENCODER}, pictures {IMAGE_TOWER}, language model {chat_model}, "
            f"speech {SPEECH_MODEL}. "
            "Sentences in grey are the language model's; quotations are the content's own words.",
        ),
        folder=out,
    )
    return DemoResult(
        products=len(products),
        contents=len(contents),
        page=str(out / "report.html"),
        matches_path=str(out / "matches.jsonl"),
        seconds=seconds,
        metrics=metrics,
        matches=matches,
        titles={r.product_id: products[r.product_id].title for match in matches for r in match.products},
    )


def _models(chat_model: str, media: bool) -> None:
    from llmrec.models import resolve

    wanted = [ENCODER, *([chat_model] if chat_model != "none" else [])]
    wanted += [SPEECH_MODEL, IMAGE_TOWER] if media else []
    for reference in wanted:
        resolve(reference)


def _watch(found: DemoData, out: Path, say: Callable[[str], None]) -> list[Content]:
    """Watch the media and write ``contents.jsonl``; what an interrupted demo has watched is not watched again."""
    from llmrec.match import watch_contents
    from llmrec.video import IsolatedWatcher, WatchSettings
    from llmrec.video.child import worker_count
    from llmrec.video.settings import VERSION

    settings = WatchSettings(speech=SPEECH_MODEL)
    workers = worker_count(len(found.contents))
    target = out / "contents.jsonl"
    digest = fingerprint(VERSION, settings)
    contents = []
    with IsolatedWatcher(settings, frames_dir=out / "frames", workers=workers) as watcher:
        stream = watch_contents(
            found.contents,
            watcher.watch,
            folder=found.folder,
            target=target,
            settings=digest,
            keep=True,
            workers=workers,
        )
        for content in stream:
            # like media, keyframes are named from the folder of the contents file
            frames = tuple(
                msgspec.structs.replace(f, path=os.path.relpath(found.folder / f.path, out)) for f in content.keyframes
            )
            contents.append(msgspec.structs.replace(content, keyframes=frames))
            if content.media:
                say(f"  {content.id}: {len(content.keyframes)} frames, {len(content.timed_text)} texts")
    write_records(target, contents, Content)
    return contents


def _index(products: dict[str, Product], out: Path, found: DemoData) -> Index:
    """The index of the products; an index of just these products and encoders is opened as it is."""
    from llmrec.embed import load_encoder, load_image_encoder
    from llmrec.index import Index

    encoder = load_encoder(ENCODER)
    # without frames there is nothing to compare
    pictured = any(content.media for content in found.contents)
    images = load_image_encoder(IMAGE_ENCODER) if pictured else None
    path = out / "index"
    if path.exists():
        try:
            index = Index.open(path, encoder, image_encoder=images)
            if index.products == list(products.values()) and index.has_pictures == pictured:
                return index
        except LlmrecError:
            pass
    root = found.catalog.parent
    return Index.build(path, products.values(), encoder, replace=path.exists(), image_encoder=images, images_root=root)


def _truth(found: DemoData) -> dict[str, dict[str, int]]:
    if found.qrels is None:
        return {}
    from llmrec.evaluate import read_qrels

    truth = {content: dict(products) for content, products in read_qrels(found.qrels).items()}
    return truth | {content: {} for content in found.without_match}


def _metrics(matches: list[Match], truth: dict[str, dict[str, int]]) -> tuple[dict[str, float], list[Tile]]:
    """Recall of the exact product (relevance 2), with the interval on the page."""
    from llmrec.evaluate import evaluate_matches

    exact = {c: {p: 1 for p, grade in products.items() if grade >= 2} for c, products in truth.items()}
    exact = {content: products for content, products in exact.items() if products}
    if not exact:
        return {}, []
    found = evaluate_matches(matches, exact, metrics=["recall@1", "recall@3", "recall@10", "mrr@10"]).metrics
    tiles = [
        Tile(f"{name}, exact variant ({_interval(e)}n = {e.n})", f"{e.value:.2f}")
        for name, e in found.items()
        if name in ("recall@1", "recall@10")
    ]
    return {name: round(estimate.value, 4) for name, estimate in found.items()}, tiles


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"95%: {estimate.low:.2f}–{estimate.high:.2f}, "


def _summaries(generator: Generator, products: list[Product], out: Path) -> dict[str, ProductSummary]:
    """The ledger stays, so that a second demo takes again what the first wrote."""
    from llmrec.summarize import Summarizer

    summarizer, target = Summarizer(generator), out / "summaries.jsonl"
    with summarizer.ledger(target) as ledger:
        written = list(summarizer.summarize(products, ledger=ledger))
        write_records(target, written, ProductSummary)
    return {summary.product_id: summary for summary in written}


def _intents(generator: Generator, contents: list[Content], out: Path) -> dict[str, tuple[Intent, ...]]:
    from llmrec.summarize import IntentWriter

    writer, target = IntentWriter(generator), out / "intents.jsonl"
    with writer.ledger(target) as ledger:
        written = list(writer.intents(contents, ledger=ledger))
        write_records(target, chain.from_iterable(written), Intent)
    return {content.id: intents for content, intents in zip(contents, written, strict=True)}
