"""Import of a million-row catalog beside ``pandas.read_csv`` of the same file: time and memory, each in a new process.

    python eval/catalog_speed.py [--rows 1000000] [--repeats 3] [--seed 0] [--out eval/results/catalog_speed.json]

``pandas`` reads the table into a data frame and cleans nothing; ``Catalog.read`` gives checked products (HTML out,
prices and category paths parsed, duplicate ids found) one by one; ``import`` writes them as JSON Lines too. The table
is made here from a seed: ten columns, about 340 bytes a row, HTML in every tenth description. Wall and CPU seconds are
the best of the repeats (other work on the machine only adds), memory is the largest; the order turns with each repeat.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HEADER = ["id", "title", "description", "brand", "category", "price", "currency", "colour", "image_url", "stock"]
RUN = """
import json, resource, sys, time
start = time.perf_counter()
{body}
wall = time.perf_counter() - start
use = resource.getrusage(resource.RUSAGE_SELF)
used = {{"cpu_s": use.ru_utime + use.ru_stime, "peak_mb": use.ru_maxrss / 1024}}
print(json.dumps({{"rows": rows, "wall_s": wall, **used}}))
"""
BODIES = {
    "pandas.read_csv": "import pandas\nrows = len(pandas.read_csv(sys.argv[1]))",
    "Catalog.read": "from llmrec.catalog import Catalog\nrows = sum(1 for _ in Catalog.read(sys.argv[1]))",
    "catalog import": (
        "from llmrec.catalog import import_catalog\nrows = import_catalog([sys.argv[1]], sys.argv[1] + '.jsonl').kept"
    ),
}


def write_table(path: Path, rows: int, seed: int) -> None:
    """Write a table of made-up products; the same seed gives the same bytes."""
    draw = random.Random(seed)
    words = [f"word{i}" if i % 3 else f"w{i}" for i in range(5000)]
    brands = [f"Brand {i}" for i in range(500)]
    categories = [f"Department {i} > Aisle {j}" for i in range(20) for j in range(20)] + ["TV/Audio", "Toys > Games"]
    colours = ["red", "green", "blue", "black", "white"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for row in range(rows):
            title, text = " ".join(draw.choices(words, k=7)), " ".join(draw.choices(words, k=30))
            if row % 10 == 0:
                text = f"<p>{text}</p><ul><li>light &amp; quiet</li><li>5 < 6</li></ul>"
            price = f"{draw.randrange(100, 100_000) / 100:.2f}"
            image = f"https://img.example.com/{row}.jpg"
            line = [draw.choice(brands), draw.choice(categories), price, "EUR", draw.choice(colours), image]
            writer.writerow([f"P{row:08d}", title, text, *line, draw.randrange(100)])


def measure(name: str, path: Path) -> dict[str, float]:
    """Run one reader in a process of its own."""
    command = [sys.executable, "-c", RUN.format(body=BODIES[name]), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "catalog_speed.json")
    options = parser.parse_args()

    runs: dict[str, list[dict[str, float]]] = {name: [] for name in BODIES}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "products.csv"
        write_table(path, options.rows, options.seed)
        size = path.stat().st_size
        for repeat in range(options.repeats):
            names = list(BODIES)
            for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
                run = measure(name, path)
                assert run["rows"] == options.rows, f"{name} read {run['rows']} of {options.rows} rows"
                runs[name].append(run)

    results: dict[str, Any] = {}
    for name, found in runs.items():
        best = {key: min(run[key] for run in found) for key in ("wall_s", "cpu_s")}
        results[name] = best | {"peak_mb": max(run["peak_mb"] for run in found), "runs": found}
    base = results["pandas.read_csv"]
    print(f"{options.rows} rows, {size / 1e6:.0f} MB, best of {options.repeats} (ratio to pandas.read_csv)")
    print(f"{'':16} {'wall s':>14} {'CPU s':>14} {'peak MB':>14} {'rows / CPU s':>13}")
    for name, result in results.items():
        cells = [f"{result[key]:.1f} ({result[key] / base[key]:.2f})" for key in ("wall_s", "cpu_s", "peak_mb")]
        print(f"{name:16} " + " ".join(f"{cell:>14}" for cell in cells) + f" {options.rows / result['cpu_s']:>13.0f}")
        result["ratio_to_pandas"] = {key: result[key] / base[key] for key in ("wall_s", "cpu_s", "peak_mb")}
    settings = {"rows": options.rows, "bytes": size, "repeats": options.repeats, "seed": options.seed}
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"settings": settings, "machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
