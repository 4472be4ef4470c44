"""``llmrec evaluate matches | summaries | pairs | report``: metrics with intervals from files, and one page of them.

::

    llmrec evaluate matches matches.jsonl --qrels qrels.txt --baseline bm25.run --report report.html
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from llmrec.cli.manners import emit, table, usable_output
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.evaluate.results import Estimate, Evaluation, MatchEvaluation

_CONFIDENCE = typer.Option(0.95, min=0.5, max=0.999, help="Coverage of the intervals.")
_RESAMPLES = typer.Option(2000, min=100, max=1_000_000, help="Bootstrap resamples.")
_SEED = typer.Option(0, help="Of the resampling.")
_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_REPORT = typer.Option(None, "--report", metavar="FILE", help="Write a self-contained HTML page.")

evaluate = typer.Typer(no_args_is_help=True, help="Hold results against what is right: metrics, intervals, a report.")


def register(app: typer.Typer) -> None:
    """Add the ``evaluate`` group."""
    app.add_typer(evaluate, name="evaluate")


@evaluate.command("matches")
def matches(
    run: str = typer.Argument(..., help="Matches (.jsonl, .parquet) or a TREC run; '-' is stdin."),
    qrels: str = typer.Option(..., help="TREC qrels, or pairs as JSON Lines or a table."),
    baseline: str = typer.Option(None, help="A second run to compare with."),
    contents: str = typer.Option(None, help="The contents, to show the words of the misses."),
    catalog: str = typer.Option(None, help="The products (as imported), to show their titles."),
    k: str = typer.Option("1,5,10", help="Cutoffs of recall; the largest also cuts MRR, nDCG and MAP."),
    metric: list[str] = typer.Option(None, help="Use these metrics instead (hit@1, precision@5, mrr, …)."),
    misses: int = typer.Option(25, min=0, help="How many of the worst misses are kept."),
    report: str = _REPORT,
    write_run: str = typer.Option(None, metavar="FILE", help="Write the run for trec_eval, ties broken our way."),
    per_query: str = typer.Option(None, metavar="FILE", help="Write each content's values as JSON Lines."),
    confidence: float = _CONFIDENCE,
    resamples: int = _RESAMPLES,
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """Score ranked products against the right ones."""
    import msgspec

    for target in (report, write_run, per_query):
        usable_output(target, run, qrels, baseline, contents, catalog)
    from llmrec import evaluate as room
    from llmrec.records import Content, Product
    from llmrec.storage import read_records, write_jsonl

    _one_stdin(run, qrels, baseline, contents, catalog)
    found = room.read_matches(run)
    right = room.read_qrels(qrels)
    result = room.evaluate_matches(
        found,
        right,
        metrics=metric or room.default_metrics(_cutoffs(k)),
        baseline=room.read_matches(baseline) if baseline else None,
        contents=read_records(contents, Content) if contents else (),
        catalog=read_records(catalog, Product) if catalog else (),
        misses=misses,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        name=_name(run),
        baseline_name=_name(baseline) if baseline else "",
    )
    if write_run:
        room.write_run(write_run, room.run_from_matches(found), untie=True)
    if per_query:
        write_jsonl(per_query, ({"content_id": id, "metrics": values} for id, values in result.per_query.items()))
    result = msgspec.structs.replace(result, per_query={})
    _report(report, result, contents)
    emit(result, as_json=as_json, text=_matches_text(result))


@evaluate.command("summaries")
def summaries(
    source: str = typer.Argument(..., help="Summaries (.jsonl, .parquet, .csv); '-' is stdin."),
    references: str = typer.Option(None, help="Reference texts (JSON Lines or a table) for ROUGE."),
    baseline: str = typer.Option(None, help="Other summaries of the same products to compare with."),
    catalog: str = typer.Option(None, help="The products (as imported): what of a summary stands in its source?"),
    stem: bool = typer.Option(False, "--stem", help="Stem English words, as most published ROUGE values do."),
    over: str = typer.Option("mean", help="How several references count: mean or max."),
    report: str = _REPORT,
    confidence: float = _CONFIDENCE,
    resamples: int = _RESAMPLES,
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """Score summaries: ROUGE in every script, problems, support, faithfulness."""
    usable_output(report, source, references, baseline, catalog)
    from llmrec import evaluate as room
    from llmrec.records import Product
    from llmrec.storage import read_records

    _one_stdin(source, references, baseline, catalog)
    if over not in ("mean", "max"):
        raise InputError(f"--over {over}: no such way", next_step="Use mean or max.")
    if baseline and not references:
        raise InputError("--baseline wants --references", next_step="Give the reference texts as well.")
    result = room.evaluate_summaries(
        room.read_summaries(source),
        room.read_references(references) if references else None,
        catalog=read_records(catalog, Product) if catalog else None,
        baseline=room.read_summaries(baseline) if baseline else None,
        stem=stem,
        over=over,  # type: ignore[arg-type]
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        name=_name(source),
        baseline_name=_name(baseline) if baseline else "",
    )
    _warn(result.missing, "products with references have no summary: they count as 0")
    _warn(result.without_reference if references else 0, "summaries have no reference: left out of ROUGE")
    _report(report, result)
    text = _estimates_text({**result.rouge, **result.records})
    if result.comparison:
        text += "\n\n" + _comparison_text(result.comparison)
    emit(result, as_json=as_json, text=text)


@evaluate.command("pairs")
def pairs(
    source: str = typer.Argument(..., help="Pairs: id_a, id_b, label, score (JSON Lines or a table); '-' is stdin."),
    dev: str = typer.Option(None, help="Pairs on which the threshold is chosen (best F1)."),
    threshold: float = typer.Option(None, help="Use this threshold instead."),
    report: str = _REPORT,
    confidence: float = _CONFIDENCE,
    resamples: int = _RESAMPLES,
    seed: int = _SEED,
    as_json: bool = _JSON,
) -> None:
    """Score labelled pairs: precision, recall, F1, average precision."""
    usable_output(report, source, dev)
    from llmrec import evaluate as room

    _one_stdin(source, dev)
    if dev and threshold is not None:
        raise InputError("--dev and --threshold exclude each other", next_step="Give one of the two.")
    result = room.evaluate_pairs(
        room.read_pairs(source),
        threshold=threshold,
        dev=room.read_pairs(dev) if dev else None,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        name=_name(source),
    )
    if result.threshold_from == "same file":
        print("warning: the threshold was chosen on the scored pairs themselves; give --dev", file=sys.stderr)
    _report(report, result)
    head = (
        f"{result.pairs} pairs, {result.positives} matches, threshold {result.threshold:.6g} ({result.threshold_from})"
    )
    emit(result, as_json=as_json, text=f"{head}\n{_estimates_text(result.metrics)}")


@evaluate.command("report")
def report(
    results: list[str] = typer.Argument(..., help="What 'evaluate matches | summaries | pairs --json' printed."),
    output: str = typer.Option("report.html", "--output", "-o", help="The page."),
    title: str = typer.Option("Evaluation", help="Its heading."),
    images: list[str] = typer.Option(None, help="Folders whose stills may be embedded; default: this one."),
    as_json: bool = _JSON,
) -> None:
    """Make one HTML page of several results."""
    from llmrec.evaluate.report import read_evaluation, write_report

    usable_output(output, *results)
    evaluations = [read_evaluation(path) for path in results]
    write_report(output, evaluations, title=title, image_folders=images or ["."])
    emit(
        {"report": output, "results": len(evaluations)}, as_json=as_json, text=f"{len(evaluations)} results -> {output}"
    )


def _report(target: str | None, result: Evaluation, contents: str | None = None) -> None:
    if not target:
        return
    from llmrec.evaluate.report import write_report

    folders = [Path(contents).parent] if contents and contents != "-" else []
    write_report(target, [result], image_folders=[*folders, Path(".")])
    print(f"report -> {target}", file=sys.stderr)


def _matches_text(result: MatchEvaluation) -> str:
    counts = result.counts
    _warn(counts.missing_from_run, "judged contents are missing from the run: they count as 0")
    _warn(counts.not_judged, "contents of the run are not judged: left out")
    _warn(counts.order_differs, "matches have ranks that contradict their scores: the scores count")
    parts = [f"{counts.ranked} contents with a product in the catalog, {counts.no_match_expected} without"]
    parts.append(_estimates_text(result.metrics))
    if result.comparison:
        parts += ["", f"less {result.baseline}:", _comparison_text(result.comparison)]
    if result.no_match:
        parts += ["", f"no match (detector: {result.no_match.detector}):", _estimates_text(result.no_match.metrics)]
    return "\n".join(parts)


def _estimates_text(estimates: Mapping[str, Estimate]) -> str:
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}"

    rows = [[name, shown(e.value), shown(e.low), shown(e.high)] for name, e in estimates.items()]
    return table(["metric", "value", "low", "high"], rows)


def _comparison_text(comparison: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{c.difference.value:+.4f}", *(f"{x:+.4f}" if x is not None else "" for x in
         (c.difference.low, c.difference.high)), f"{c.p_value:.4f}", f"{c.p_adjusted:.4f}"]
        for name, c in comparison.items()
    ]  # fmt: skip
    return table(["metric", "difference", "low", "high", "p", "p (Holm)"], rows)


def _cutoffs(text: str) -> list[int]:
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise InputError(f"--k {text}: not a list of cutoffs", next_step="Give whole numbers from 1, such as 1,5,10.")
    return sorted(set(values))


def _name(source: str) -> str:
    return "standard input" if source == "-" else Path(source).name


def _one_stdin(*sources: str | None) -> None:
    if sum(source == "-" for source in sources) > 1:
        raise InputError("'-' is given more than once", next_step="Read one input from stdin, the others from files.")


def _warn(count: int, what: str) -> None:
    if count:
        print(f"warning: {count} {what}", file=sys.stderr)
