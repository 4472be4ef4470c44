"""``llmrec finetune RECIPE.yaml``: train an adapter, an encoder or a reranker as a recipe says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.manners import emit, table

if TYPE_CHECKING:
    from llmrec.train import Finetuned


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(finetune)


def finetune(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A .yaml file, or a name of 'recipes list'.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key: training.epochs=1.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show samples, lengths, memory and time; train nothing.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train what a recipe says, and measure it beside the untrained model."""
    from llmrec.recipes import load_recipe

    loaded = load_recipe(recipe, changes or [])
    if dry_run:
        from llmrec.train.dry_run import look_ahead

        report = look_ahead(loaded)
        emit(report, as_json=as_json, text=report.text())
        return
    from llmrec.train import finetune as train

    done = train(loaded, resume=resume)
    result = {
        "run": str(done.run),
        "folder": str(done.folder) if done.folder else None,
        "interrupted": done.interrupted,
        "metrics": done.metrics,
    }
    if done.interrupted:
        emit(result, as_json=as_json)
        print(f"interrupted: a checkpoint is kept in {done.run}; add --resume to go on", file=sys.stderr)
        raise typer.Exit(130)
    if done.folder is not None:
        emit(result, as_json=as_json, text=_told(done))


def _told(done: Finetuned) -> str:
    trained = done.metrics["training"]
    head = (
        f"{done.folder}: {trained['steps']} steps over {trained['examples']} examples in {trained['seconds']:.0f} s "
        f"({trained['tokens_per_second']:.0f} tokens/s)"
    )
    from llmrec.train.compare import told

    rows = [[split, *row] for split in ("dev", "test") for row in told(done.metrics.get(split, {}))]
    if not rows:
        return head
    said = table(["examples", "metric", "untrained", "trained", "difference"], rows)
    flattered = (
        "dev chose the checkpoint and any threshold, so its figures are flattered; those of data.test would not be"
    )
    return f"{head}\n{said}" + ("" if done.metrics.get("test") else f"\n({flattered})")
