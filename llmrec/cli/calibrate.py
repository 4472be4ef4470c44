"""``llmrec calibrate contents.jsonl --index shop.index --qrels qrels.tsv -o DIR``: what a match is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.manners import emit, table
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.match import Calibration
    from llmrec.match.second_look import SecondLook


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(name="calibrate")(calibrate)


def calibrate(
    input: Annotated[str, typer.Argument(help="Watched contents (.jsonl, .parquet, '-' for stdin).")],
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="The index that contents are matched with.")],
    qrels: Annotated[str, typer.Option(help="The right products: TREC qrels, or pairs as a table or JSON Lines.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The calibration folder.")],
    absent: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Share of contents to come whose product the catalog does not have."),
    ] = None,
    where: Annotated[str | None, typer.Option(metavar="FILTER", help="As 'match' will be called with.")] = None,
    vision: Annotated[bool, typer.Option("--vision/--no-vision", help="As 'match' will be called with.")] = True,
    encoder: Annotated[str | None, typer.Option(help="Another reference for the index's own encoder.")] = None,
    rerank: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Reranker to learn the use of, or 'trees': grown on these very contents."),
    ] = None,
    rerank_depth: Annotated[int, typer.Option(min=2, help="Products of each content that it looks at.")] = 20,
    hold_out: Annotated[
        float, typer.Option(min=0.0, max=0.8, help="Share of the contents that nothing but --alpha's sets is made of.")
    ] = 0.0,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a calibration that lies there.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Learn from contents whose products are known how probably a match is right."""
    from llmrec.evaluate import read_qrels
    from llmrec.match import Matcher, MatchSettings, open_index, unique_ids
    from llmrec.match import calibrate as fit
    from llmrec.records import Content
    from llmrec.storage import read_records

    if output.exists() and not (replace and (output / "manifest.json").is_file()):
        step = "Name another folder." if replace else "Add --replace, or name another folder."
        raise InputError(f"{output}: is there already", next_step=step)
    contents = unique_ids(read_records(input, Content), input)
    right = read_qrels(qrels)
    if not any(content.id in right for content in contents):
        step = "Give qrels whose content ids are those of the contents."
        raise InputError(f"{qrels}: says nothing of the contents of {input}", next_step=step)
    pictured = vision and any(content.keyframes for content in contents)
    opened = open_index(index, encoder=encoder, vision=pictured)
    matcher = Matcher(opened, settings=MatchSettings(vision=vision, where=where))
    folder = Path.cwd() if input == "-" else Path(input).parent
    look: dict[str, Any] = {"rerank": _reranker(rerank), "depth": rerank_depth, "hold_out": hold_out}
    made = fit(matcher, contents, right, absent=absent, folder=folder, seed=seed, **look)
    made.save(output, replace=replace)
    emit(_result(made, output), as_json=as_json, text=_told(made, output))


def _reranker(reference: str | None) -> Any:
    """A reranker, or what grows trees."""
    from llmrec.match import load_scorer
    from llmrec.match.second_look import OWN

    if reference == OWN:
        from llmrec.train.pair_trees import grow_trees

        return grow_trees
    return load_scorer(reference) if reference else None


def _result(made: Calibration, output: Path) -> dict[str, Any]:
    bars = [{"precision": b.precision, "probability": b.probability, "coverage": b.coverage} for b in made.final.bars]
    second = {"reranker": {"helps": made.second.helps, **made.second.measured}} if made.second else {}
    return {"output": str(output), **made.final.measured, "bars": bars, **second}


def _told(made: Calibration, output: Path) -> str:
    measured = made.final.measured
    lines = [
        f"{output}: calibrated on {measured['contents']:.0f} contents, all figures on contents left out of the fit",
        f"calibration error {measured['calibration_error']:.3f}, first products right {measured['right']:.3f}",
    ]
    if made.second is not None:
        lines.append(_told_second(made.second))
    if not made.final.bars:
        return "\n".join([*lines, "no bar was found above which 8 of 10 first products are right"])
    rows = [[f"{b.precision:g}", f"{b.coverage:.3f}", f"{b.probability:.3f}"] for b in made.final.bars]
    return "\n".join([*lines, table(["--min-precision", "answered", "from probability"], rows)])


def _told_second(second: SecondLook) -> str:
    """What the reranker is worth."""
    told = second.measured
    moved = (
        f"first products right {told['recall@1 first']:.3f} before, {told['recall@1 reranked']:.3f} after "
        f"(of contents that have one; {told['gained']:.0f} gained, {told['lost']:.0f} lost)"
    )
    if not second.helps:
        return f"the reranker does not help and will be left out: {moved}"
    return f"reranked: {moved}; the first stage is sure of {told['skipped']:.2f}"
