"""What a language model's summaries of the sample catalog are worth, and how quick they are beside transformers.

    python eval/summary_quality.py [--model starter:smollm2-135m] [--prompt summarize-product …] [--every 18]
        [--catalog examples/catalog.csv] [--speed 12] [--out eval/results/summary_quality.json]

For each prompt: the share of answers that could be read, of summaries with a headline and a sentence, facts kept and
claims dropped a product, tokens and seconds of CPU a product. Then, with ``--speed N`` (0: leave out), the CPU seconds
of the same N prompts by this package, by ``model.generate`` on one padded batch, and by ``model.generate`` one at a
time: one thread, greedy, all held to one number of tokens, answers compared.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from itertools import islice
from pathlib import Path
from typing import Any

from llmrec.catalog import Catalog
from llmrec.llm import load_generator
from llmrec.prompting import load_prompt, product_variables
from llmrec.records import Conversation, GenerationSettings, Product
from llmrec.summarize import Summarizer

SPEED_TOKENS = 32


def quality(generator: Any, prompt: str, products: list[Product]) -> dict[str, Any]:
    """One prompt's row of the table."""
    summarizer = Summarizer(generator, prompt)
    before, started = generator.usage.new_tokens, time.process_time()
    written = list(summarizer.summarize(products))
    count = len(written)
    facts = sum(len(s.highlights) + len(s.attributes) for s in written)
    dropped = sum("dropped: " in problem for s in written for problem in s.problems)
    return {
        "prompt": f"{summarizer.prompt.version.name} {summarizer.prompt.version.version}",
        "products": count,
        "readable": 1 - summarizer.report.unreadable / count,
        "headline": sum(bool(s.headline) for s in written) / count,
        "sentence": sum(bool(s.summary) for s in written) / count,
        "facts kept": facts / count,
        "claims dropped": dropped / count,
        "new tokens": (generator.usage.new_tokens - before) / count,
        "cpu s": (time.process_time() - started) / count,
    }


def speed(generator: Any, prompt: str, products: list[Product]) -> list[dict[str, Any]]:
    """CPU seconds of the same prompts three ways, and how many answers are word for word the same."""
    import torch

    chosen = load_prompt(prompt)
    asked: list[Conversation] = [chosen.render(chosen.pick(product_variables(p))).conversation for p in products]
    settings = GenerationSettings(max_new_tokens=SPEED_TOKENS)
    ids = [generator._chat.encode(conversation, 8000)[0] for conversation in asked]
    tokenizer, model = generator.tokenizer, generator.model
    tokenizer.padding_side = "left"

    def generate(batch: list[list[int]]) -> list[str]:
        padded = tokenizer.pad({"input_ids": batch}, return_tensors="pt")
        made = model.generate(**padded, max_new_tokens=SPEED_TOKENS, do_sample=False)
        return tokenizer.batch_decode(made[:, padded["input_ids"].shape[1] :], skip_special_tokens=True)

    def ours() -> list[str]:
        return [completion.text for completion in generator.generate(asked, settings)]

    generator.break_loops = False  # transformers has no such guard
    rows: list[dict[str, Any]] = []
    ways = {"llmrec": ours, "generate, one batch": lambda: generate(ids)}
    ways["generate, one by one"] = lambda: [generate([one])[0] for one in ids]
    texts: dict[str, list[str]] = {}
    with torch.inference_mode():
        for name, way in ways.items():
            generator._prefix.tokens = []
            started = time.process_time()
            texts[name] = way()
            rows.append({"way": name, "cpu s": (time.process_time() - started) / len(asked)})
    generator.break_loops = True
    for row in rows:
        row["same as llmrec"] = sum(a == b for a, b in zip(texts["llmrec"], texts[row["way"]], strict=True)) / len(
            asked
        )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    names = list(rows[0])
    cells = [names] + [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def main() -> None:
    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter:smollm2-135m")
    parser.add_argument("--prompt", nargs="+", default=["summarize-product"])
    parser.add_argument("--catalog", default=str(root / "examples" / "catalog.csv"))
    parser.add_argument("--every", type=int, default=18, help="take every so manieth product")
    parser.add_argument("--speed", type=int, default=12, help="products of the comparison of speed; 0 leaves it out")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    products = list(islice(Catalog.read(options.catalog), 0, None, options.every))
    generator: Any = load_generator(options.model, threads=1, dtype="float32")
    result: dict[str, Any] = {"model": options.model, "machine": platform.processor() or platform.machine()}
    result["quality"] = [quality(generator, prompt, products) for prompt in options.prompt]
    show(result["quality"])
    if options.speed:
        result["speed"] = speed(generator, options.prompt[0], products[: options.speed])
        show(result["speed"])
    if options.out:
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
