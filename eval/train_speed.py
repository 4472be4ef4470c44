"""Useful tokens per CPU second of a training: our recipe beside plain PEFT with transformers' Trainer.

    python eval/train_speed.py [speed] [equality] [ideas]

LoRA of rank 8 on SmolLM2-135M; pairs of offers of ``er_magellan_pairs`` as they are, put as the question of
``rerank: {kind: yes-no}``, the loss on the answer alone. All arms take the same examples in the same batches in the
same order from the same adapter, in one thread: (a) PEFT and ``Trainer`` in float32, padded to 256; (b) the same with
``bf16=True``; trl's ``SFTTrainer`` as it is; (c) our recipe. Useful tokens are those of the examples, padding not
counted and common beginnings counted in every row; seconds are of this process's CPU time over whole updates, the
first of each round left out. Rounds are interleaved. Then both ways are trained side by side, and the losses compared
step by step; and our step is built up idea by idea. Where the processor does not multiply bfloat16, (b) is measured row
by row, fewer of them: it is tens of times slower. Writes ``eval/results/train_speed.json``, in which parts that were
not asked for stay as they were; leaves with 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from machines import machine

FILES = ("Abt-Buy/train.txt", "Amazon-Google/train.txt", "wdc_cameras/train.txt.small")
LENGTH = 256
#: Difference of losses, step by step, that passes for rounding in float32: a share of the loss, and a floor below which
#: differences of logits of some tens are not held. The first run, without the floor, had one of 8 updates at 1.03e-4 of
#: a loss of .109.
TOLERANCE, FLOOR = 1e-4, 2e-5
SUMMARIES = "sample:summaries-train.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=("speed", "equality", "ideas"), default=[])
    parser.add_argument("--model", default="starter:smollm2-135m")
    parser.add_argument("--batch", type=int, default=8, help="as Trainer has it when nothing is said")
    parser.add_argument("--steps", type=int, default=4, help="updates of each arm in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--proof", type=int, default=12, help="updates whose losses are compared")
    parser.add_argument("--repeats", type=int, default=2, help="of each idea")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "train_speed.json")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "")) / "er_magellan_pairs"
    missing = [name for name in FILES if not (data / name).is_file()]
    if not os.environ.get("LLMREC_DATA") or missing:
        what = f"no {missing[0]} in {data}" if os.environ.get("LLMREC_DATA") else "LLMREC_DATA is not set"
        print(f"error: {what}\n  next: eval/README.md says where the pairs come from", file=sys.stderr)
        sys.exit(2)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import torch
    from transformers.utils import logging as quieter

    quieter.disable_progress_bar()
    torch.set_num_threads(1)
    measures = {"speed": rounds, "equality": prove, "ideas": build_up}
    packages = ("torch", "transformers", "peft", "trl", "accelerate")
    written = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.is_file() else {}
    for part in chosen.parts or list(measures):
        with tempfile.TemporaryDirectory() as work:
            found = measures[part](chosen, data, Path(work))
        written[part] = {
            "command": " ".join(["python", "eval/train_speed.py", *sys.argv[1:]]),
            "machine": {**machine(), "capability": torch.backends.cpu.get_cpu_capability(), "threads": 1},
            "versions": {name: version(name) for name in packages},
            "settings": {k: v for k, v in vars(chosen).items() if k not in ("out", "parts")}
            | {"padded_to": LENGTH, "rank": 8},
            **found,
        }
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        if not found.get("passed", True):
            print("error: the losses are not equal", file=sys.stderr)
            sys.exit(1)


def sampled(data: Path, count: int, seed: int, path: Path) -> Path:
    """Pairs drawn alike from the three sets, in a file."""
    drawn = random.Random(seed)
    lines = [line for name in FILES for line in drawn.sample(_lines(data / name), -(-count // len(FILES)))]
    drawn.shuffle(lines)
    path.write_text("".join(lines[:count]), encoding="utf-8")
    return path


def _lines(path: Path) -> list[str]:
    return [f"{line}\n" for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def rounds(chosen: Any, data: Path, work: Path) -> dict[str, Any]:
    """Tokens per second of each arm in each round."""
    from train_speed_arms import examples, ours, plain

    from llmrec.llm.hardware import cpu_multiplies_bf16

    native = cpu_multiplies_bf16()
    rates: dict[str, list[float]] = {}
    useful = []

    def rate(name: str, clock: Any, counted: list[int], first: int = 1) -> None:
        rates.setdefault(name, []).append(sum(counted[first:]) / sum(clock.seconds[first:]))
        print(f"{name:34s} {rates[name][-1]:8.1f} useful tokens per CPU second", flush=True)

    for number in range(chosen.rounds):
        train = sampled(data, 16 * chosen.batch, chosen.seed + number, work / f"pairs-{number}.txt")
        given = examples(train, work / f"run-{number}", chosen.model, batch=chosen.batch, steps=chosen.steps)
        tokens = given.tokens
        useful.append(sum(tokens) / (len(given.rows) * LENGTH))
        rate("(a) peft + Trainer, fp32", plain(given, length=LENGTH), tokens)
        rate("(c) our recipe", ours(given), tokens)
        if not number:
            rate("trl's SFTTrainer in our batches", ours(given, own=False), tokens)
        if native:
            rate("(b) peft + Trainer, bf16=True", plain(given, length=LENGTH, bf16=True), tokens)
        else:
            clock = plain(given, length=LENGTH, bf16=True, limit=1)
            rate("(b) peft + Trainer, bf16=True", clock, [len(given.rows[0]["input_ids"])], first=0)
    names = {name[:3]: name for name in rates if name.startswith("(")}
    ratios = {}
    for other in ("(a)", "(b)"):
        each = [c / o for c, o in zip(rates[names["(c)"]], rates[names[other]], strict=True)]
        ratios[f"(c) / {other}"] = {"median": statistics.median(each), "least": min(each), "most": max(each)}
        print(f"(c) / {other}: {statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})")
    return {
        "useful_share_of_padded": statistics.mean(useful),
        "bf16_native": native,
        "tokens_per_cpu_second": {
            name: {"median": statistics.median(v), "least": min(v), "most": max(v), "rounds": v}
            for name, v in rates.items()
        },
        "ratios": ratios,
    }


def prove(chosen: Any, data: Path, work: Path) -> dict[str, Any]:
    """Losses of both ways over the same updates, each with its own optimizer and adapter."""
    from train_speed_arms import examples, ours, plain

    train = sampled(data, 16 * chosen.batch, chosen.seed + 100, work / "proof.txt")
    given = examples(train, work / "proof", chosen.model, batch=chosen.batch, steps=chosen.proof)
    theirs, found = plain(given, length=None).losses, ours(given).losses
    other = plain(given, length=None, eager=True).losses
    apart, control = ([abs(a - b) for a, b in zip(each, theirs, strict=True)] for each in (found, other))
    allowed = [TOLERANCE * loss + FLOOR for loss in theirs]
    print(f"losses over {len(apart)} updates, from those of PEFT and Trainer: at most")
    for name, each in (("ours", apart), ("Trainer with eager attention", control)):
        relative = max(a / b for a, b in zip(each, theirs, strict=True))
        print(f"  {name:30s} {max(each):.1e} apart, {relative:.1e} of the loss")
    return {
        "updates": len(apart), "peft_and_trainer": theirs, "ours": found, "trainer_with_eager_attention": other,
        "difference": apart, "allowed": {"share": TOLERANCE, "floor": FLOOR},
        "passed": len(apart) == chosen.proof and all(a <= b for a, b in zip(apart, allowed, strict=True)),
    }  # fmt: skip


def build_up(chosen: Any, data: Path, work: Path) -> dict[str, Any]:
    """Forward and backward, one idea more from arm to arm: pairs, and summaries under one long prompt."""
    from train_speed_arms import computed, examples, ladder

    train = sampled(data, 16 * chosen.batch, chosen.seed + 200, work / "ideas.txt")
    given = examples(train, work / "ideas", chosen.model, batch=chosen.batch, steps=2)
    found: dict[str, Any] = {}
    arms = ladder(given)
    for what, batches in (("pairs", given.batches), ("summaries", summaries(given, chosen))):
        tokens = sum(len(row["input_ids"]) for part in batches for row in part)
        share = sum(computed(part, given.pad) for part in batches) / tokens
        rates: dict[str, list[float]] = {name: [] for name in arms}
        for _ in range(chosen.repeats):
            for name, step in arms.items():
                begun = time.process_time()
                for part in batches:
                    step(part)
                rates[name].append(tokens / (time.process_time() - begun))
        found[what] = {"rows": len(batches[0]), "computed_share": share, "tokens_per_cpu_second": rates}
        print(f"{what}: {tokens} useful tokens in batches of {len(batches[0])}, {share:.0%} of them computed")
        for name, values in rates.items():
            print(f"  {name:50s} {statistics.mean(values):7.1f}")
    return found


def summaries(given: Any, chosen: Any) -> list[list[dict[str, list[int]]]]:
    """One batch of the shipped recipe for summaries: all its prompts begin with the same worked example."""
    from llmrec.train.answers import read_answers

    read = read_answers(SUMMARIES, "summarize-product")[: chosen.batch]
    tokens = [given.task.encoder.encode(e.conversation, e.answer, 768) for e in read]
    return [[{"input_ids": t.input_ids, "labels": t.labels} for t in tokens]]


if __name__ == "__main__":
    main()
