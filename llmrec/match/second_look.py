"""What a calibration learns of a reranker: how its scores are mixed in, whether that helps, what a match is worth then.

All of it is kept in ``second.json``; where the trees were grown on the calibration's own lists they lie in
``reranker/`` beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from llmrec.index.standing import Standing
from llmrec.match.decision import Decider, Fitted, bars, calibration_error, fit_decider, reliability
from llmrec.match.mixing import Candidates, Gain, Mix, fit_mix, folds_of
from llmrec.match.reranking import Second, reordered
from llmrec.match.scorers import MOST, Scorer, of_trees
from llmrec.match.signals import WIDTH, names_of, offer_of, pair_signals, second_signals, signals
from llmrec.prompting.pair_blend import best_f1
from llmrec.prompting.pair_features import PairFeatures
from llmrec.prompting.pair_matcher import PairMatcher, probabilities
from llmrec.prompting.pair_trees import PairTrees
from llmrec.prompting.pairs import Offer
from llmrec.records import Hit, Product, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Grows trees on rows of features and whether each is of a right product (``llmrec.train.pair_trees.grow_trees``).
Grow = Callable[["NDArray[np.float32]", Sequence[bool]], PairTrees]
#: What trees that a calibration grew itself are called.
OWN = "trees"
#: Probabilities from which on the first stage may be held to be sure.
SURE = (0.9, 0.95, 0.975, 0.99)
#: What skipping may cost in mean reciprocal rank.
COST = 0.001


class Seen(NamedTuple):
    """A list of the first stage, of a content whose right products are known; none of them: the catalog has none."""

    content: str
    hits: list[Hit]
    query: Query
    standing: Standing
    right: frozenset[str]
    weight: float


class SecondLook(msgspec.Struct, frozen=True):
    """How a reranker is used.

    Attributes:
        reference, digest: The reranker that it was made with; another is refused.
        depth: Products of a list that it looks at.
        mix: How its scores and the first stage's become one.
        sure: Probability of the first stage from which on it does not look; None: it always does.
        helps: Whether it put the right product higher on contents left out of the fit; where it did not it is left out.
        measured: Both stages' recall and reciprocal rank, share not looked at.
        decider: What a reranked list is worth; its bars and figures are of all lists, those not looked at too.
    """

    reference: str
    digest: str
    depth: int
    mix: Mix
    sure: float | None
    helps: bool
    measured: dict[str, float]
    decider: Decider | None


class Learned(NamedTuple):
    """A second look, the trees that were grown for it (or None), and what is said of the lists out of fold.

    ``looked`` are the lists after the second look, None where there was none.
    """

    second: SecondLook
    trees: PairMatcher | None
    fitted: Fitted
    looked: list[Second | None]


def second_row(
    second: Second, hits: Sequence[Hit], standing: Standing, pairs: PairFeatures, query: Query, product: Product
) -> list[float]:
    """The signals of a reranked list.

    Args:
        second: The list after the second look.
        hits: The list before it.
        standing: Of its first products, as many as were looked at or more.
        pairs: Of the calibration.
        query: What stands for the content.
        product: The new first product.
    """
    order = second.order[:WIDTH]
    own = [hits[i] for i in order] + list(hits[len(second.order) : WIDTH])
    places = [*order.tolist(), *range(len(second.order), min(WIDTH, len(hits)))]
    turned = standing._replace(z=standing.z[places], raw=standing.raw[places], other=standing.other[places])
    first = int(second.order[0])
    return [
        *signals(own, turned).tolist(),
        *second_signals(second.logits, second.mixed, first).tolist(),
        *pair_signals(pairs, offer_of(query), product).tolist(),
    ]


def learn_second(
    lists: Sequence[Seen],
    first: Fitted,
    product: Callable[[str], Product],
    pairs: PairFeatures,
    parts: Sequence[str],
    rerank: Scorer | Grow,
    *,
    depth: int,
    seed: int = 0,
) -> Learned:
    """Learn how a reranker is used.

    Args:
        lists: With and without their right products.
        first: What the first stage alone is worth on them.
        product: Gives a product by its id.
        pairs: Features of pairs, counted over the catalog.
        parts: Retrievers of the index.
        rerank: A reranker, or what grows trees: then they are grown on the lists, and each list is scored by trees that
            have not seen its content.
        depth: Products of a list that are looked at.
        seed: Of the folds.

    Raises:
        InputError: Too few lists of one kind.
    """
    groups = components(lists)
    trees = None
    if isinstance(rerank, Scorer):
        scorer = rerank
        logits = _scored(lists, product, scorer.logits, depth)
    else:
        trees, logits = _grown(lists, groups, product, pairs, rerank, depth, seed)
        scorer = of_trees(trees, OWN, digest_of(trees.trees))
    there = [i for i, seen in enumerate(lists) if seen.right]
    mix, gain = fit_mix([_candidates(lists[i], logits[i]) for i in there], [groups[i] for i in there], seed=seed)
    about = (scorer.reference, scorer.digest, depth, mix)
    if not gain.helps:
        second = SecondLook(*about, None, False, gain.measured, None)
        return Learned(second, trees, first, [None for _ in lists])
    said = first.probability
    sure, share = _sure([lists[i] for i in there], gain, said[there])
    seconds = [reordered(seen.hits, own, len(own), mix) for seen, own in zip(lists, logits, strict=True)]
    rows = [
        second_row(second, seen.hits, seen.standing, pairs, seen.query, product(second.hits[0].product_id))
        for seen, second in zip(lists, seconds, strict=True)
    ]
    right = np.array([second.hits[0].product_id in seen.right for seen, second in zip(lists, seconds, strict=True)])
    weights = np.array([seen.weight for seen in lists])
    none = [not seen.right for seen in lists]
    names = names_of(parts, pairs=True, reranked=True)
    contents = [seen.content for seen in lists]
    fitted = fit_decider(np.array(rows), right.tolist(), none, contents, names, weights=weights, seed=seed)
    # what is told is told of what is done: where the first stage is sure, its word counts
    skip = said >= sure if sure is not None else np.zeros(len(lists), dtype=np.bool_)
    before = np.array([seen.hits[0].product_id in seen.right for seen in lists])
    truth, told = np.where(skip, before, right), np.where(skip, said, fitted.probability)
    measured = {
        **fitted.decider.measured,
        "right": float(np.average(truth, weights=weights)),
        "calibration_error": calibration_error(told, truth, weights),
    }
    curve = tuple(reliability(told, truth, weights))
    decider = msgspec.structs.replace(fitted.decider, bars=bars(told, truth, weights), measured=measured, curve=curve)
    second = SecondLook(*about, sure, True, {**gain.measured, "skipped": share}, decider)
    missing = np.where(skip, first.absent, fitted.absent)
    looked = [None if left else own for left, own in zip(skip, seconds, strict=True)]
    return Learned(second, trees, Fitted(decider, told, missing), looked)


def components(lists: Sequence[Seen]) -> list[str]:
    """The group of each list: contents that share a right product are of one group."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for seen in lists:
        for id in seen.right:
            low, high = sorted((root(f"content {seen.content}"), root(f"product {id}")))
            parent[high] = low
    return [root(f"content {seen.content}") for seen in lists]


def digest_of(trees: PairTrees) -> str:
    """A digest of all the numbers of trees."""
    found = hashlib.sha256(repr((trees.base, trees.columns)).encode())
    for table in (trees.feature, trees.threshold, trees.left, trees.right, trees.value):
        found.update(np.ascontiguousarray(table).tobytes())
    return found.hexdigest()


def _candidates(seen: Seen, logits: Floats) -> Candidates:
    hits = seen.hits[: len(logits)]
    right = np.array([hit.product_id in seen.right for hit in hits], dtype=np.bool_)
    return Candidates(np.array([hit.score for hit in hits]), logits, right)


def _pairs_of(
    lists: Sequence[Seen], product: Callable[[str], Product], depth: int
) -> tuple[list[tuple[Offer, Offer]], dict[tuple[str, str], int]]:
    """The distinct pairs of content and product, and where each stands."""
    place: dict[tuple[str, str], int] = {}
    pairs: list[tuple[Offer, Offer]] = []
    for seen in lists:
        offer = offer_of(seen.query)
        for hit in seen.hits[:depth]:
            key = (seen.content, hit.product_id)
            if key not in place:
                place[key] = len(pairs)
                pairs.append((offer, product(hit.product_id)))
    return pairs, place


def _placed(lists: Sequence[Seen], place: Mapping[tuple[str, str], int], depth: int) -> list[list[int]]:
    return [[place[seen.content, hit.product_id] for hit in seen.hits[:depth]] for seen in lists]


def _scored(
    lists: Sequence[Seen],
    product: Callable[[str], Product],
    ask: Callable[[list[tuple[Offer, Offer]]], Floats],
    depth: int,
) -> list[Floats]:
    pairs, place = _pairs_of(lists, product, depth)
    said = ask(pairs)
    return [said[own] for own in _placed(lists, place, depth)]


def _grown(
    lists: Sequence[Seen],
    groups: Sequence[str],
    product: Callable[[str], Product],
    features: PairFeatures,
    grow: Grow,
    depth: int,
    seed: int,
) -> tuple[PairMatcher, list[Floats]]:
    """Trees grown on all lists, and for each list the logits of trees that were grown without its group."""
    pairs, place = _pairs_of(lists, product, depth)
    rows = features.rows(pairs)
    placed = _placed(lists, place, depth)
    label = np.zeros(len(pairs), dtype=np.bool_)
    fold = np.zeros(len(pairs), dtype=np.int64)
    for seen, own, number in zip(lists, placed, folds_of(groups, seed), strict=True):
        fold[own] = number
        label[own] |= [hit.product_id in seen.right for hit in seen.hits[:depth]]
    logits = np.zeros(len(pairs))
    for number in np.unique(fold):
        held = fold == number
        logits[held] = grow(rows[~held], label[~held].tolist()).logits(rows[held])
    trees = grow(rows, label.tolist())
    threshold = best_f1(np.asarray(probabilities(logits), dtype=np.float64), label)
    return PairMatcher(features, trees, threshold), [np.clip(logits[own], -MOST, MOST) for own in placed]


def _sure(lists: Sequence[Seen], gain: Gain, said: Floats) -> tuple[float | None, float]:
    """The least of ``SURE`` from which on looking again made nothing better, and the share not looked at then."""
    before = np.array([_worth(seen, range(len(order))) for seen, order in zip(lists, gain.orders, strict=True)])
    after = np.array([_worth(seen, order.tolist()) for seen, order in zip(lists, gain.orders, strict=True)])
    for bar in SURE:
        mixed = np.where((said >= bar)[:, None], before, after)
        right, rank = (mixed - after).mean(axis=0)
        if right >= 0 and rank >= -COST:
            return bar, float((said >= bar).mean())
    return None, 0.0


def _worth(seen: Seen, order: Sequence[int]) -> tuple[float, float]:
    """Whether the first product is right, and the reciprocal rank of the first right one."""
    ranks = [rank for rank, i in enumerate(order[:WIDTH]) if seen.hits[i].product_id in seen.right]
    return float(ranks[:1] == [0]), 1 / (1 + ranks[0]) if ranks else 0.0
