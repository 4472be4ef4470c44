"""One self-contained HTML page from any evaluations: no scripts, nothing fetched, every text escaped.

::

    write_report("report.html", [evaluate_matches(run, qrels)])

Numbers with intervals, the comparison, plots, and the worst misses first, each with its content's words, its still
(embedded, made small) and the evidence of what was ranked instead.
"""

from __future__ import annotations

import base64
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from llmrec.errors import InputError
from llmrec.evaluate.results import Evaluation, MatchEvaluation, PairEvaluation, SummaryEvaluation
from llmrec.storage import atomic_file

logger = logging.getLogger(__name__)

#: Longest side of an embedded still in pixels, and the largest file that is opened for one.
STILL, LARGEST = 360, 20 * 1024 * 1024

_LABELS = {
    "mrr": "MRR", "ndcg": "nDCG", "map": "MAP", "rprec": "R-precision", "hit": "Hit", "recall": "Recall",
    "precision": "Precision", "f1": "F1", "auroc": "AUROC", "average_precision": "Average precision",
    "accuracy": "Accuracy", "answered_right": "Answered right", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L", "empty": "Empty", "with_problems": "With problems", "words": "Words",
    "claims": "Claims", "claims_supported": "Claims with support", "support_in_source": "Support within its field",
    "words_from_source": "Words from the source", "numbers_from_source": "Numbers from the source",
}  # fmt: skip


def write_report(
    target: str | Path,
    evaluations: Sequence[Evaluation],
    *,
    title: str = "Evaluation",
    image_folders: Sequence[str | Path] = (),
) -> None:
    """Write the page; it appears whole or not at all.

    Args:
        evaluations: What to show, in order.
        image_folders: Stills are embedded when they lie in one of these folders (paths are taken relative to them).

    Raises:
        StorageError: The disk refused.
    """
    page = render_report(evaluations, title=title, image_folders=image_folders)
    with atomic_file(target) as file:
        file.write(page.encode("utf-8", "replace"))


def render_report(
    evaluations: Sequence[Evaluation], *, title: str = "Evaluation", image_folders: Sequence[str | Path] = ()
) -> str:
    """The page as text; see ``write_report``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from llmrec import __version__

    environment = Environment(
        loader=PackageLoader("llmrec.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folders = [Path(folder) for folder in image_folders]
    environment.filters.update(label=_label, p=_p_value, number=_number, clock=_clock, signed=lambda v: f"{v:+.3f}")
    environment.globals["still"] = lambda path: _still(path, folders)
    template = environment.get_template("report.html.j2")
    return template.render(
        title=title, version=__version__, sections=[_section(evaluation) for evaluation in evaluations]
    )


def read_evaluation(source: str | Path) -> Evaluation:
    """Read what ``llmrec evaluate matches | summaries | pairs --json`` printed.

    Raises:
        InputError: Missing, or not such a result.
    """
    try:
        raw = sys.stdin.buffer.read() if str(source) == "-" else Path(source).read_bytes()
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}", next_step="Check the path and its permissions.") from error
    try:
        return msgspec.json.decode(raw, type=Evaluation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        step = "Give what 'llmrec evaluate matches', 'summaries' or 'pairs' printed with --json."
        raise InputError(f"{source}: not an evaluation ({error})", next_step=step) from error


def _section(evaluation: Evaluation) -> dict[str, Any]:
    """What the templates need; the plots are drawn here and marked as safe, for matplotlib escapes their texts."""
    from markupsafe import Markup

    from llmrec.evaluate import plots

    drawn: list[tuple[str, str]] = []
    match evaluation:
        case MatchEvaluation():
            if len(evaluation.curve) > 1:
                both = evaluation.curve[0].baseline is not None
                drawn.append(("Recall at k, with its interval", plots.recall_curve(evaluation.curve, both)))
            named = {_label(name): estimate for name, estimate in evaluation.metrics.items()}
            others = {_label(name): estimate for name, estimate in evaluation.baseline_metrics.items()}
            drawn.append(("Metrics, with their intervals", plots.metric_bars(named, others)))
            if evaluation.top_scores:
                caption = "Where the first product was right, and where it was not"
                drawn.append((caption, plots.score_histogram(evaluation.top_scores)))
            if evaluation.no_match and evaluation.no_match.roc:
                roc = plots.line_plot(evaluation.no_match.roc, "false alarms", "no-matches found", chance=True)
                drawn.append((f"Telling no-match by {evaluation.no_match.detector} (ROC)", roc))
            template = "matches.html.j2"
        case SummaryEvaluation():
            shares = {_label(k): e for k, e in evaluation.rouge.items() if "_" not in k}
            if shares:
                drawn.append(("ROUGE F, with its interval", plots.metric_bars(shares, {})))
            template = "summaries.html.j2"
        case PairEvaluation():
            drawn.append(("Metrics, with their intervals", plots.metric_bars(
                {_label(k): e for k, e in evaluation.metrics.items()}, {})))  # fmt: skip
            if evaluation.curve:
                drawn.append(("Precision and recall", plots.line_plot(evaluation.curve, "recall", "precision")))
            template = "pairs.html.j2"
    return {
        "template": template,
        "it": evaluation,
        "plots": [(caption, Markup(svg)) for caption, svg in drawn],
    }


def _label(name: str) -> str:
    kind, _, cutoff = name.partition("@")
    base, _, part = kind.partition("_")
    if base in ("rouge1", "rouge2", "rougeL") and part:
        return f"{_LABELS[base]} {part}"
    label = _LABELS.get(kind, kind)
    return f"{label}@{cutoff}" if cutoff else label


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _still(path: str, folders: Sequence[Path]) -> str:
    """An image within one of the folders as a data URI, made small and encoded anew; "" where there is none."""
    for folder in folders if "\0" not in path else ():
        file = (folder / path).resolve()
        # a contents file from elsewhere must not draw other images of this machine into a page that is passed on
        if file.is_relative_to(folder.resolve()) and file.is_file() and file.stat().st_size <= LARGEST:
            return _encoded(file)
    return ""


def _encoded(file: Path) -> str:
    from PIL import Image

    try:
        with Image.open(file, formats=("JPEG", "PNG", "WEBP")) as image:
            image.thumbnail((STILL, STILL))
            packed = io.BytesIO()
            image.convert("RGB").save(packed, "JPEG", quality=78)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        logger.warning("%s: not shown in the report (%s)", file, error)
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
