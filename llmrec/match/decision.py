"""A probability that the first product is right, and the bar above which it is shown.

::

    decider = fit_decider(rows, right, absent, groups, names)
    decider.probability(rows)          # float64 [n]
    decider.bar(0.95)                  # the least probability above which 95 of 100 shown products are right

Logistic regression over the signals of a list (``llmrec.match.signals``), its strength and whether the pair features
take part chosen by cross-validated log loss; contents of one group fall into one fold. All that is told of it (expected
calibration error, precision and coverage, the bar) is told of predictions for contents that it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Contents below which nothing is fitted, and of each answer.
FEWEST, FEWEST_OF_EACH = 60, 15
FOLDS = 5
#: Strengths that are tried: the smaller, the nearer to one probability for all.
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Bins of equal count of the calibration error.
BINS = 10
#: Precisions whose bars are kept.
PRECISIONS = (0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99)
#: Deviations of the lower end to which a bar keeps its precision: a confidence of .8.
Z = 0.8416
#: Standard deviations beyond which a signal is cut: one that dev never showed shall not decide alone.
CUT = 5.0


class Linear(msgspec.Struct, frozen=True):
    """A logistic regression over standardised columns."""

    columns: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def probability(self, rows: Floats) -> Floats:
        """Float64 ``[n]`` for rows ``[n, columns]``."""
        standard = (rows[:, list(self.columns)] - np.array(self.mean)) / np.array(self.scale)
        logits = np.clip(standard, -CUT, CUT) @ np.array(self.weights) + self.bias
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float64)


class Bar(msgspec.Struct, frozen=True):
    """The least probability that is shown for a precision; ``coverage`` is the share of dev contents above it."""

    precision: float
    probability: float
    coverage: float


class Decider(msgspec.Struct, frozen=True):
    """Says how probably the first product is right, and how probably the catalog has none.

    Attributes:
        names: The signals that it reads.
        right: The first product is right.
        absent: No product is.
        bars: By precision, ascending; those that dev never reached are not among them.
        measured: Contents, share right, calibration error, log loss, all out of fold.
        curve: Mean probability, share right and count of each bin, out of fold.
    """

    names: tuple[str, ...]
    right: Linear
    absent: Linear
    bars: tuple[Bar, ...]
    measured: dict[str, float]
    curve: tuple[tuple[float, float, int], ...]

    def bar(self, precision: float) -> float:
        """The least probability to show for a precision at least this high.

        Raises:
            InputError: It was never reached on dev.
        """
        for bar in self.bars:
            if bar.precision >= precision - 1e-9:
                return bar.probability
        most = max((bar.precision for bar in self.bars), default=None)
        step = f"Ask for {most} at most, or calibrate on more contents." if most else "Calibrate on more contents."
        raise InputError(f"a precision of {precision} was never reached on the calibration's contents", next_step=step)


class Fitted(NamedTuple):
    """A decider and its predictions for contents that it was not fitted on, float64 ``[n]``.

    ``probability`` is that the first product is right, ``absent`` that the catalog has none.
    """

    decider: Decider
    probability: Floats
    absent: Floats


def fit_decider(
    rows: Floats,
    right: Sequence[bool],
    absent: Sequence[bool],
    groups: Sequence[str],
    names: Sequence[str],
    *,
    weights: Floats | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit a decider.

    Args:
        rows: Signals, float64 ``[n, names]``.
        right: Whether the first product of each list is right.
        absent: Whether no product of the catalog is.
        groups: Contents of one group are never fitted and measured apart: one content with and without its product.
        names: Of the columns; those that begin with ``pair`` take part where they help.
        weights: What each content counts, float64 ``[n]``; None: the same.
        seed: Of the folds.

    Raises:
        InputError: Too few contents, or of one answer.
    """
    truth, none = np.asarray(right, dtype=np.bool_), np.asarray(absent, dtype=np.bool_)
    weight = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    for what, answers in (("whose first product is right", truth), ("whose product the catalog does not have", none)):
        few = min(int(answers.sum()), int((~answers).sum()))
        count = len(set(groups))
        if count < FEWEST or few < FEWEST_OF_EACH:
            told = f"{count} contents, {int(answers.sum())} of {len(rows)} lists {what}"
            step = f"Give at least {FEWEST} contents with qrels, {FEWEST_OF_EACH} lists of each kind."
            raise InputError(f"too little to calibrate on: {told}", next_step=step)
    folds = _folds(groups, seed)
    lists = [i for i, name in enumerate(names) if not name.startswith("pair ")]
    options = [lists] if len(lists) == len(names) else [lists, list(range(len(names)))]
    probability, columns, strength = _chosen(rows, truth, weight, folds, options)
    missing, columns_none, strength_none = _chosen(rows, none, weight, folds, options)
    measured = {
        "contents": float(len(set(groups))),
        "right": float(np.average(truth, weights=weight)),
        "calibration_error": calibration_error(probability, truth, weight),
        "log_loss": _log_loss(probability, truth, weight),
    }
    decider = Decider(
        tuple(names),
        _fit(rows, truth, weight, columns, strength),
        _fit(rows, none, weight, columns_none, strength_none),
        bars(probability, truth, weight),
        measured,
        tuple(reliability(probability, truth, weight)),
    )
    return Fitted(decider, probability, missing)


def _chosen(
    rows: Floats, truth: Bools, weight: Floats, folds: NDArray[np.int64], options: Sequence[Sequence[int]]
) -> tuple[Floats, Sequence[int], float]:
    """Predictions out of fold, columns and strength with the least log loss."""
    best: tuple[float, Floats, Sequence[int], float] | None = None
    for columns in options:
        for strength in STRENGTHS:
            found = np.zeros(len(rows))
            for fold in range(FOLDS):
                held = folds == fold
                if held.any():
                    model = _fit(rows[~held], truth[~held], weight[~held], columns, strength)
                    found[held] = model.probability(rows[held])
            loss = _log_loss(found, truth, weight)
            if best is None or loss < best[0]:
                best = (loss, found, columns, strength)
    assert best is not None
    return best[1], best[2], best[3]


def _fit(rows: Floats, truth: Bools, weight: Floats, columns: Sequence[int], strength: float) -> Linear:
    from sklearn.linear_model import LogisticRegression

    own = rows[:, list(columns)]
    mean = own.mean(axis=0)
    scale = np.where(own.std(axis=0) > 1e-9, own.std(axis=0), 1.0)
    standard = np.clip((own - mean) / scale, -CUT, CUT)
    model: Any = LogisticRegression(C=strength, max_iter=5000).fit(standard, truth, sample_weight=weight)
    weights, bias = tuple(model.coef_[0].tolist()), float(model.intercept_[0])
    return Linear(tuple(columns), tuple(mean.tolist()), tuple(scale.tolist()), weights, bias)


def _folds(groups: Sequence[str], seed: int) -> NDArray[np.int64]:
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[place]: number % FOLDS for number, place in enumerate(order)}
    return np.array([fold[group] for group in groups], dtype=np.int64)


def _log_loss(probability: Floats, truth: Bools, weight: Floats) -> float:
    given = np.clip(np.where(truth, probability, 1 - probability), 1e-6, 1)
    return float(-np.average(np.log(given), weights=weight))


def reliability(probability: Floats, truth: Bools, weight: Floats | None = None) -> list[tuple[float, float, int]]:
    """Mean probability, share right and count, in ``BINS`` bins of equal count."""
    weight = np.ones(len(truth)) if weight is None else weight
    parts = [part for part in np.array_split(np.argsort(probability, kind="stable"), BINS) if len(part)]
    return [
        (
            float(np.average(probability[part], weights=weight[part])),
            float(np.average(truth[part], weights=weight[part])),
            len(part),
        )
        for part in parts
    ]


def calibration_error(probability: Floats, truth: Bools, weight: Floats | None = None) -> float:
    """Expected calibration error over bins of equal count (Nixon et al. 2019, arXiv 1904.01685)."""
    weight = np.ones(len(truth)) if weight is None else weight
    parts = [part for part in np.array_split(np.argsort(probability, kind="stable"), BINS) if len(part)]
    gaps = [abs(float((weight[part] * (probability[part] - truth[part])).sum())) for part in parts]
    return float(sum(gaps) / weight.sum())


def bars(probability: Floats, truth: Bools, weight: Floats) -> tuple[Bar, ...]:
    """For each of ``PRECISIONS`` the least probability above which so many are right, with a confidence of .8.

    The lower end of Wilson's interval has to reach the precision: what was just reached on some hundred contents is as
    often just missed on others.
    """
    order = np.argsort(-probability, kind="stable")
    right, shown = (weight * truth)[order].cumsum(), weight[order].cumsum()
    lower = _wilson(right / shown, shown**2 / (weight[order] ** 2).cumsum())
    # of equal probabilities all are shown or none
    ends = np.append(np.diff(probability[order]) < 0, True)
    found = []
    for precision in PRECISIONS:
        good = np.flatnonzero(ends & (lower >= precision))
        if len(good):
            last = int(good[-1])
            found.append(Bar(precision, float(probability[order][last]), float(shown[last] / shown[-1])))
    return tuple(found)


def _wilson(share: Floats, count: Floats) -> Floats:
    """Lower end of Wilson's one-sided interval, ``Z`` deviations wide, for shares of so many."""
    centre = share + Z**2 / (2 * count)
    spread = Z * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return np.asarray((centre - spread) / (1 + Z**2 / count), dtype=np.float64)
