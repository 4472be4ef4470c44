"""``llmrec demo``: the main job end to end on the shipped sample, or on a folder of your own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.manners import emit, table

if TYPE_CHECKING:
    from llmrec.demo import DemoResult
    from llmrec.records import Evidence


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(name="demo")(demo)


def demo(
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder with media or contents.jsonl, and a catalog.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where everything is written.")] = Path(
        "demo-output"
    ),
    model: Annotated[
        str, typer.Option(help="Language model for summaries and intents, or 'none'.")
    ] = "starter:smollm2-135m",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Import a catalog, watch clips, index, match, explain: a table here and a page to open."""
    from llmrec.demo import run_demo

    result = run_demo(data, output, chat_model=model, say=lambda line: print(line, file=sys.stderr, flush=True))
    emit(result, as_json=as_json, text=_shown(result))


def _shown(result: DemoResult) -> str:
    rows = []
    for match in result.matches:
        best = match.products[0] if match.products else None
        title = result.titles[best.product_id] if best else "nothing found"
        why = "; ".join(map(_because, best.evidence[:2])) if best else ""
        rows.append([_short(match.content_id, 24), _short(title, 44), _short(" ".join(why.split()), 58)])
    lines = ["", table(["content", "best product", "because"], rows), ""]
    if result.metrics:
        lines.append("exact product: " + ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items()))
    seconds = ", ".join(f"{name} {value:.0f}" for name, value in result.seconds.items())
    lines += [f"seconds: {seconds}", f"matches: {result.matches_path}", f"open:    {result.page}"]
    return "\n".join(lines)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _because(evidence: Evidence) -> str:
    if evidence.text or evidence.start is None:
        return f"{evidence.source} “{evidence.text}”"
    return f"picture at {evidence.start:.1f} s"
