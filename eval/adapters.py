"""What the shipped adapters add to their bases, measured on the committed weights and products that neither has seen.

    python eval/adapters.py                          # what is shipped: summaries
    python eval/adapters.py --matcher runs/x/adapter # a trained encoder beside its base (none is shipped yet)

Summaries: the 67 products of ``summaries-test.jsonl``, written as ``llmrec summarize`` writes them (claims that stand
nowhere in the product are struck out), held against the gold. The base is asked in two ways: as the adapter is, and by
the prompt with a worked example, with which it does better. Matcher: the 140 contents of ``retrieval-test.jsonl``
against all 414 products of the catalog, by the vectors alone, by their first 128 numbers, and by an index of words and
vectors. Intervals are 95% percentile bootstraps over families of products (variants of one thing resemble each other),
those of the differences from the same resamples of both.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from machines import machine

from llmrec.embed import load_encoder
from llmrec.evaluate.intervals import bootstrap
from llmrec.evaluate.ranking import per_query
from llmrec.evaluate.rouge import COLUMNS, Rouge
from llmrec.index import Index
from llmrec.llm import load_generator
from llmrec.models import resolve
from llmrec.prompting.writing import plain_summary
from llmrec.recipes import load_recipe
from llmrec.records import Product, ProductSummary, Query
from llmrec.summarize import Summarizer
from llmrec.train.retrieval_data import RetrievalExample, read_splits
from llmrec.train.retrieval_measure import ranks

SUMMARIES = "adapter:smollm2-135m-summaries"
#: Name of an arm, the adapter, the prompt.
WRITERS = (
    ("base, same prompt", None, "summarize-product-short"),
    ("base, worked example", None, "summarize-product"),
    ("adapter", SUMMARIES, "summarize-product-short"),
)
RANKED = ("mrr", "recall@1", "recall@10")
Values = dict[str, list[float]]


def summaries(path: Path) -> dict[str, Any]:
    """Each arm's summaries of the test products, held against the gold."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
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


def matcher(reference: str) -> dict[str, Any]:
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
    from llmrec.train.files import sample_path

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
    parser.add_argument("--matcher", metavar="FOLDER", help="measure this encoder's adapter, and only print it")
    parser.add_argument("--out", type=Path, default=root / "eval" / "results" / "adapters.json")
    options = parser.parse_args()
    if options.matcher:
        print(json.dumps(matcher(options.matcher), indent=1))
        return
    path = root / "examples" / "summaries-test.jsonl"
    result = {"machine": machine(), "summaries": {"digest": resolve(SUMMARIES).digest, **summaries(path)}}
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    print(text)
    options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
