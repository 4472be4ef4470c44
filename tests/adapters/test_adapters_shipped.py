"""The adapters that are shipped: whole, small, without leaks, better than their bases, and taken by name."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.models import resolve, shipped_adapters
from llmrec.models.pull import known
from llmrec.recipes import Recipe, load_recipe
from llmrec.storage import read_manifest
from llmrec.train.files import sample_path

ROOT = Path(__file__).parents[2]
SUMMARIES, PAIRS = "smollm2-135m-summaries", "minilm-pairs"
#: What each was chosen and is judged by.
METRICS = {SUMMARIES: "rougeL", PAIRS: "f1"}
FOLDERS = shipped_adapters()


def recipe_of(name: str) -> Recipe:
    return load_recipe(str(FOLDERS[name] / "recipe.yaml"))


def starter(name: str) -> str:
    """The base of a shipped adapter; the test is left out where it was not fetched."""
    base = resolve(f"adapter:{name}").base
    if known(base) is None:
        pytest.skip(f"{base} is not in the cache (llmrec models pull)")
    return base


def families_of(row: dict[str, Any]) -> list[str]:
    """The families of an example: that of a product, or those of both sides of a pair."""
    return [row["group"]] if "group" in row else [name.split("-")[0] for name in row["ids"]]


def test_all_are_there() -> None:
    assert sorted(FOLDERS) == sorted(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_the_folder_is_whole_small_and_names_nothing_of_a_machine(name: str) -> None:
    from safetensors import safe_open

    folder = FOLDERS[name]
    read_manifest(folder, kind="adapter", format_version=1, check=True, remedy="")
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 10.5e6
    with safe_open(folder / "adapter_model.safetensors", "np") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118
    config = json.loads((folder / "adapter_config.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert config["base_model_name_or_path"] == manifest["models"]["base"]["reference"] == recipe_of(name).model
    assert resolve(f"adapter:{name}").licence == "apache-2.0"
    for path in folder.rglob("*.*"):
        if path.suffix in (".json", ".md", ".yaml"):
            assert not re.search(r"(?<![\w.])/(tmp|work|home|root|usr|mnt)\b", path.read_text("utf-8")), path


@pytest.mark.parametrize("name", METRICS)
def test_the_metrics_show_it_better_than_its_base(name: str) -> None:
    found = json.loads((FOLDERS[name] / "metrics.json").read_text())
    for split in ("dev", "test"):
        values = found[split][METRICS[name]]
        assert values["tuned"]["value"] > values["base"]["value"]
    assert found["test"][METRICS[name]]["difference"]["low"] > 0


def test_what_is_measured_again_is_what_is_shipped() -> None:
    again = json.loads((ROOT / "eval" / "results" / "adapters.json").read_text())
    assert again["summaries"]["digest"] == resolve(f"adapter:{SUMMARIES}").digest
    assert again["summaries"]["adapter - base, same prompt"]["rougeL"][1] > 0
    assert again["summaries"]["adapter - base, worked example"]["rougeL"][1] > 0
    assert again["pairs"]["digest"] == resolve(f"adapter:{PAIRS}").digest
    assert again["pairs"]["adapter - base: cosines"]["f1"][1] > 0


@pytest.mark.parametrize("name", METRICS)
def test_no_family_of_products_is_learned_and_measured(name: str) -> None:
    data = recipe_of(name).data
    families = {}
    for split, files in (("train", data.train), ("dev", [data.dev]), ("test", [data.test])):
        rows = [json.loads(line) for file in files for line in sample_path(str(file)).read_text("utf-8").splitlines()]
        families[split] = {family for row in rows for family in families_of(row)}
    assert families["train"] and families["test"]
    assert not families["train"] & (families["dev"] | families["test"]) and not families["dev"] & families["test"]


def test_one_product_is_summarised(tmp_path: Path) -> None:
    starter(SUMMARIES)
    row = json.loads(next(islice(sample_path("sample:summaries-test.jsonl").open(encoding="utf-8"), 1)))
    (tmp_path / "p.jsonl").write_text(json.dumps(row["product"]) + "\n", encoding="utf-8")
    out = tmp_path / "s.jsonl"
    arguments = ["summarize", tmp_path / "p.jsonl", "-o", out, "--adapter", f"adapter:{SUMMARIES}", "--json"]
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["prompt"]["name"], told["adapter"]) == ("summarize-product-short", f"adapter:{SUMMARIES}")
    written = json.loads(out.read_text("utf-8"))
    assert "Bytewillow" in written["summary"] and written["attributes"] and not written.get("problems")


def test_pairs_are_told_apart() -> None:
    from llmrec.match.pair_reranker import PairReranker

    starter(PAIRS)
    matcher = PairReranker.load(f"adapter:{PAIRS}")
    offer = {"title": "Larkmoor Drift 3 over-ear headphones, sand", "brand": "Larkmoor", "price": 149}
    others = [
        "larkmoor drift-3 headset over-ear sandfarben",
        "larkmoor drift 2 over-ear headphones black",
        "dog food 12 kg",
    ]
    same, sibling, other = matcher.score([(offer, text) for text in others])
    assert same > sibling > other and same > matcher.threshold > other


def test_names_that_are_not_shipped() -> None:
    done = CliRunner().invoke(app, ["models", "show", "adapter:nonsense"])
    assert done.exit_code == 2 and f"adapter:{SUMMARIES}" in done.stderr
