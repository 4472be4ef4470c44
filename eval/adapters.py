"""What the shipped adapters add to their bases, measured on the committed weights and products that neither has seen.

    python eval/adapters.py                           # what is shipped: summaries and pairs
    python eval/adapters.py --parts pairs             # one of them; the other stays as it was measured
    python eval/adapters.py --encoder runs/x/adapter  # a trained encoder beside its base (none is shipped)

Summaries: the 67 products of ``summaries-test.jsonl``, written as ``llmrec summarize`` writes them (claims that stand
nowhere in the product are struck out), held against the gold. The base is asked in two ways: as the adapter is, and
by the prompt with a worked example, with which it does better. Pairs: the 394 of ``pairs-test.jsonl``: F1 of the
base's cosines, of the cross-encoder that the adapter makes of it, of trees over features, and of both. Every
threshold is the best on the dev pairs. Encoder: the 140 contents of ``retrieval-test.jsonl`` against all 414 products
of the catalog, by the vectors alone, by their first 128 numbers, and by an index of words and vectors. Intervals are
95% percentile bootstraps over families of products (variants of one thing resemble each other), those of the
differences from the same resamples of both.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from machines import machine

from llmrec.embed import load_encoder
from llmrec.evaluate.detection import best_threshold
from llmrec.evaluate.intervals import bootstrap
from llmrec.evaluate.ranking import per_query
from llmrec.evaluate.rouge import COLUMNS, Rouge
from llmrec.index import Index
from llmrec.llm import load_generator
from llmrec.match.pair_reranker import PairReranker
from llmrec.models import resolve
from llmrec.prompting.pairs import Offer, offer_fields
from llmrec.prompting.writing import plain_summary
from llmrec.recipes import load_recipe
from llmrec.records import Product, ProductSummary, Query
from llmrec.summarize import Summarizer
from llmrec.train.files import sample_path
from llmrec.train.rerank import read_pair_splits
from llmrec.train.retrieval_data import RetrievalExample, read_splits
from llmrec.train.retrieval_measure import ranks

SUMMARIES, PAIRS = "adapter:smollm2-135m-summaries", "adapter:minilm-pairs"
#: Name of an arm, the adapter, the prompt.
WRITERS = (
    ("base, same prompt", None, "summarize-product-short"),
    ("base, worked example", None, "summarize-product"),
    ("adapter", SUMMARIES, "summarize-product-short"),
)
RANKED = ("mrr", "recall@1", "recall@10")
Values = dict[str, list[float]]


def summaries() -> dict[str, Any]:
    """Each arm's summaries of the test products, held against the gold."""
    rows = [json.loads(line) for line in sample_path("sample:summaries-test.jsonl").read_text("utf-8").splitlines()]
    products = [msgspec.convert(row["product"], Product) for row in rows]
    golds = [row["summary"] for row in rows]
    base = resolve(SUMMARIES).base
    arms: dict[str, Values] = {}
    for name, adapter, prompt in WRITERS:
        generator: Any = load_generator(base, adapter=adapter, dtype="float32", threads=1)
        written = list(Summarizer(generator, prompt).summarize(products))
        arms[name] = _judged(written, golds)
    families = [row["group"] for row in rows]
    result = {"products": len(rows), **told(arms, families)}
    foreign = [i for i, row in enumerate(rows) if row["product"].get("language") != "en"]
    some = {arm: {name: [v[i] for i in foreign] for name, v in values.items()} for arm, values in arms.items()}
    result["not in English"] = {"products": len(foreign), **told(some, [families[i] for i in foreign])}
    return result


def _judged(written: Sequence[ProductSummary], golds: Sequence[dict[str, Any]]) -> Values:
    rouge = Rouge(stem=True)
    values: Values = {"rougeL": [], "rouge1": [], "attributes f1": [], "claims dropped": [], "readable": []}
    for summary, gold in zip(written, golds, strict=True):
        text = plain_summary(summary.headline, summary.attributes, summary.highlights, summary.summary)
        want = plain_summary(gold["headline"], gold["attributes"], tuple(gold.get("highlights", ())), gold["summary"])
        scores = dict(zip(COLUMNS, rouge.score(text, [want]), strict=True))
        for name in ("rougeL", "rouge1"):
            values[name].append(float(scores[name]))
        values["attributes f1"].append(_f1(_pairs(summary.attributes), _pairs(gold["attributes"])))
        values["claims dropped"].append(float(sum("dropped: " in problem for problem in summary.problems)))
        values["readable"].append(float(bool(summary.headline and summary.summary)))
    return values


def _pairs(attributes: dict[str, str]) -> set[tuple[str, str]]:
    return {(name.casefold(), value.casefold()) for name, value in attributes.items()}


def _f1(found: set[Any], wanted: set[Any]) -> float:
    return 2 * len(found & wanted) / (len(found) + len(wanted)) if found or wanted else 1.0


def pairs(reference: str = PAIRS) -> dict[str, Any]:
    """F1, precision and recall of each judge of the test pairs, at its threshold of the dev pairs."""
    folder = resolve(reference)
    recipe = load_recipe(str(folder.path / "recipe.yaml"))
    splits = read_pair_splits(recipe)
    sides = {name: [(p.left, p.right) for p in part] for name, part in (("dev", splits.dev), ("test", splits.test))}
    truth = {"dev": np.array([p.label for p in splits.dev]), "test": np.array([p.label for p in splits.test])}
    encoder, matcher = load_encoder(folder.base), PairReranker.load(reference)
    assert matcher.matcher is not None

    def cosines(some: Sequence[tuple[Offer, Offer]]) -> Any:
        left, right = (encoder.encode([offer_fields(pair[i]).text for pair in some]) for i in (0, 1))
        return (left * right).sum(axis=1).astype(float)

    judged = {
        "base: cosines": cosines,
        "adapter: cross-encoder alone": matcher.logits,
        "adapter: features alone": matcher.matcher.logits,
        "adapter": lambda some: np.asarray(matcher.score(some), dtype=float),
    }
    said = {}
    for name, judge in judged.items():
        limit = matcher.threshold if name == "adapter" else best_threshold(truth["dev"], judge(sides["dev"]))
        said[name] = judge(sides["test"]) >= limit
    # rows of a file keep the ids that a matcher does not see
    rows = [json.loads(line) for line in sample_path(str(recipe.data.test)).read_text("utf-8").splitlines()]
    families = [row["ids"][1][:3] for row in rows]
    return {"pairs": len(rows), "matching": int(truth["test"].sum()), **_decided(said, truth["test"], families)}


def _decided(said: dict[str, Any], truth: Any, families: Sequence[str]) -> dict[str, Any]:
    """Precision, recall and F1 of each judge, and each one's less those before it, with intervals over families."""
    kinds = sorted(set(families))
    belongs = np.array([[family == kind for family in families] for kind in kinds], dtype=float)
    counts = {name: belongs @ np.stack([yes & truth, yes, truth], axis=1) for name, yes in said.items()}
    names, judges = ("precision", "recall", "f1"), list(said)
    apart = [(later, earlier) for later in range(len(judges)) for earlier in range(later)]
    keys = [f"{judge}|{name}" for judge in judges for name in names]
    keys += [f"{judges[later]} - {judges[earlier]}|{name}" for later, earlier in apart for name in names]

    def statistic(weights: Any) -> Any:
        values = []
        for count in counts.values():
            hits, yes, right = (weights @ count).T
            values.append(np.stack([hits / np.maximum(yes, 1), hits / right, 2 * hits / (yes + right)], axis=1))
        return np.concatenate([*values, *(values[later] - values[earlier] for later, earlier in apart)], axis=1)

    found: dict[str, Any] = {"families": len(kinds)}
    for key, estimate in bootstrap(statistic, len(kinds), keys).items():
        judge, _, name = key.partition("|")
        numbers = (estimate.value, estimate.low, estimate.high)
        found.setdefault(judge, {})[name] = [round(float(v), 4) for v in numbers if v is not None]
    return found


def encoders(reference: str) -> dict[str, Any]:
    """Each encoder's ranking of the catalog for the test contents."""
    folder = resolve(reference)
    recipe = load_recipe(str(folder.path / "recipe.yaml"))
    found, reader = read_splits(recipe)
    examples = found["test"]
    # the groups of the examples are those of products that share a query: a family is the first letters of its ids
    families = [next(iter(example.grades))[:3] for example in examples]
    result: dict[str, Any] = {"contents": len(examples), "products": len(reader.catalog)}
    for name, dimension in (("vectors", None), ("first 128 numbers", 128)):
        arms = {
            "base": _dense(folder.base, dimension, examples, reader),
            "adapter": _dense(reference, dimension, examples, reader),
        }
        result[name] = told(arms, families)
    arms = {"base": _hybrid(folder.base, recipe, examples), "adapter": _hybrid(reference, recipe, examples)}
    result["index of words and vectors"] = told(arms, families)
    return result


def _dense(reference: str, dimension: int | None, examples: Sequence[RetrievalExample], reader: Any) -> Values:
    logging.getLogger("llmrec.embed.loading").setLevel(logging.ERROR)  # the base is cut without having been trained so
    encoder = load_encoder(reference, dimension=dimension)
    keys = reader.catalog
    fields = [
        (
            encoder.encode([getattr(e, field) for e in examples], kind="query"),
            encoder.encode([getattr(reader.items[k], field) for k in keys]),
        )
        for field in ("title", "whole")
    ]
    return {name: values for name, values in ranks(fields, keys, examples).items() if name in RANKED}


def _hybrid(reference: str, recipe: Any, examples: Sequence[RetrievalExample]) -> Values:
    from llmrec.catalog import Catalog

    products = list(Catalog.read(sample_path(recipe.data.products)))
    queries = [Query(text=example.whole, title=example.title) for example in examples]
    with tempfile.TemporaryDirectory() as scratch:
        index = Index.build(Path(scratch) / "index", products, load_encoder(reference))
        hits = index.search(queries, 100)
    run = {str(i): {hit.product_id: hit.score for hit in one} for i, one in enumerate(hits)}
    qrels = {str(i): dict.fromkeys(example.positives, 1) for i, example in enumerate(examples)}
    values = per_query(run, qrels, RANKED, queries=list(qrels))
    return {name: values[name].tolist() for name in RANKED}


def told(arms: dict[str, Values], families: Sequence[str]) -> dict[str, Any]:
    """Means of each arm, and the last arm less each other one, with intervals over families."""
    last = list(arms)[-1]
    columns: Values = {f"{arm}|{name}": v for arm, values in arms.items() for name, v in values.items()}
    for arm in list(arms)[:-1]:
        for name, values in arms[arm].items():
            columns[f"{last} - {arm}|{name}"] = (np.array(arms[last][name]) - np.array(values)).tolist()
    kinds = sorted(set(families))
    belongs = np.array([[family == kind for family in families] for kind in kinds], dtype=float)
    table = np.array(list(columns.values())).T  # a row per example
    sums, counts = belongs @ table, belongs.sum(axis=1)

    def means(weights: Any) -> Any:
        return (weights @ sums) / (weights @ counts)[:, None]

    found: dict[str, Any] = {"families": len(kinds)}
    for key, estimate in bootstrap(means, len(kinds), list(columns)).items():
        arm, _, name = key.partition("|")
        numbers = (estimate.value, estimate.low, estimate.high)
        found.setdefault(arm, {})[name] = [round(float(v), 4) for v in numbers if v is not None]
    return found


def main() -> None:
    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", metavar="FOLDER", help="measure this encoder's adapter, and only print it")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--out", type=Path, default=root / "eval" / "results" / "adapters.json")
    options = parser.parse_args()
    if options.encoder:
        print(json.dumps(encoders(options.encoder), indent=1))
        return
    result = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    for part in options.parts:
        reference, measure = PARTS[part]
        result |= {"machine": machine(), part: {"digest": resolve(reference).digest, **measure()}}
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    print(text)
    options.out.write_text(text, encoding="utf-8")


#: What is shipped, and how it is measured.
PARTS: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "summaries": (SUMMARIES, summaries),
    "pairs": (PAIRS, pairs),
}

if __name__ == "__main__":
    main()
