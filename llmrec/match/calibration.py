"""The artefact of a calibrated decision, and how one is made from contents whose products are known.

::

    calibration = calibrate(Matcher(index), contents, qrels)
    calibration.save("shop.calibration")
    Matcher(index, calibration=Calibration.load("shop.calibration"), min_precision=0.95)

On disk: ``decider.json`` (weights, bars, reliability), ``pairs.json`` (words and how many products have them),
``reliability.png``, ``sets.json`` (``llmrec.match.conformal``) and the manifest; with a reranker also ``second.json``
(``llmrec.match.second_look``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import ArtefactError, InputError
from llmrec.match.answer_sets import Told, held_out, judge_lists, learn_sets
from llmrec.match.conformal import Sets
from llmrec.match.decision import FEWEST_OF_EACH, Decider, fit_decider
from llmrec.match.reliability import draw_reliability
from llmrec.match.reranking import DEPTH, Second
from llmrec.match.scorers import Scorer, of_trees
from llmrec.match.second_look import OWN, Grow, SecondLook, Seen, components, learn_second, second_row
from llmrec.match.signals import WIDTH, names_of, offer_of, pair_signals, signals
from llmrec.prompting.pair_features import PairFeatures
from llmrec.prompting.pair_matcher import PairMatcher
from llmrec.records import Content, Hit, Product, Query
from llmrec.storage import atomic_folder, read_manifest, write_manifest

if TYPE_CHECKING:
    from llmrec.index.standing import Standing
    from llmrec.match.matcher import Matcher

KIND, FORMAT = "calibration", 1
REMEDY = "Calibrate again: llmrec calibrate CONTENTS --index DIR --qrels FILE -o DIR"
#: Share of contents whose product the catalog does not have, where the contents themselves do not tell.
ABSENT = 0.2
#: Contents that are searched at a time, and share of a catalog that is taken out of it at once.
BATCH, TAKEN = 64, 0.2
#: Products whose words are counted.
COUNTED = 20_000


class Verdict(NamedTuple):
    """How probably the first product is right, and how probably the catalog has none."""

    right: float
    absent: float


class Calibration:
    """A decider and the counts of words that its pair features need.

    Attributes:
        decider: Of the first stage's lists.
        parts: Retrievers of the index that it was made with.
        encoder: Digest of the index's encoder; empty where it has none.
        second: How a reranker is used; None: it was made without one.
        trees: A reranker that was grown on the calibration's own lists.
        sets: What sets of answers rest on; None: it was made before there were any.
    """

    def __init__(
        self,
        decider: Decider,
        pairs: PairFeatures,
        parts: Sequence[str],
        encoder: str,
        second: SecondLook | None = None,
        trees: PairMatcher | None = None,
        sets: Sets | None = None,
    ) -> None:
        self.decider, self.pairs = decider, pairs
        self.parts, self.encoder = tuple(parts), encoder
        self.second, self.trees, self.sets = second, trees, sets

    @property
    def reranks(self) -> bool:
        """Whether lists get a second look: a reranker that did not help is left out."""
        return self.second is not None and self.second.helps

    @property
    def final(self) -> Decider:
        """The decider whose bars and figures are of what is done: the second one where lists get a second look."""
        return self.second.decider if self.second is not None and self.second.decider is not None else self.decider

    @property
    def own_scorer(self) -> Scorer | None:
        """The reranker that the calibration brings along, if any."""
        return of_trees(self.trees, OWN, self.second.digest) if self.trees is not None and self.second else None

    def row(self, hits: Sequence[Hit], standing: Standing, query: Query, product: Product) -> list[float]:
        """The signals of one list."""
        own = signals(hits, standing)
        return [*own.tolist(), *pair_signals(self.pairs, offer_of(query), product).tolist()]

    def judge(self, hits: Sequence[Hit], standing: Standing, query: Query, product: Product) -> Verdict:
        """What a list is worth; ``product`` is its first.

        Raises:
            ArtefactError: The index has other retrievers than the one that it was made with.
        """
        if standing.parts != self.parts:
            what = f"made with the retrievers {', '.join(self.parts)}, not {', '.join(standing.parts)}"
            raise ArtefactError(f"the calibration was {what}", next_step=REMEDY)
        return _verdict(self.decider, self.row(hits, standing, query, product))

    def judge_second(
        self, second: Second, hits: Sequence[Hit], standing: Standing, query: Query, product: Product
    ) -> Verdict:
        """What a reranked list is worth; ``product`` is its new first, ``hits`` and ``standing`` are of the old one."""
        return _verdict(self.final, second_row(second, hits, standing, self.pairs, query, product))

    def save(self, folder: str | Path, *, replace: bool = False) -> None:
        """Write the artefact.

        Raises:
            FileExistsError: The folder is there and ``replace`` is false.
            StorageError: The disk refused.
        """
        with atomic_folder(folder, replace=replace) as scratch:
            (scratch / "decider.json").write_bytes(msgspec.json.encode(self.decider))
            (scratch / "pairs.json").write_bytes(msgspec.json.encode(self.pairs.state()))
            if self.sets is not None:
                (scratch / "sets.json").write_bytes(msgspec.json.encode(self.sets))
            if self.second is not None:
                (scratch / "second.json").write_bytes(msgspec.json.encode(self.second))
            if self.trees is not None and self.reranks:
                self.trees.save(scratch / "reranker")
            draw_reliability(self.final, scratch / "reliability.png")
            counts = {"contents": int(self.decider.measured["contents"])}
            about = {"parts": list(self.parts), "encoder": self.encoder}
            write_manifest(scratch, kind=KIND, format_version=FORMAT, counts=counts, settings=about)

    @classmethod
    def load(cls, folder: str | Path) -> Calibration:
        """Open a saved calibration.

        Raises:
            ArtefactError: Not one, damaged, or of another version.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, kind=KIND, format_version=FORMAT, check=True, remedy=REMEDY)
        try:
            decider = msgspec.json.decode((folder / "decider.json").read_bytes(), type=Decider)
            pairs = PairFeatures.from_state(msgspec.json.decode((folder / "pairs.json").read_bytes()))
            parts, encoder = manifest["settings"]["parts"], str(manifest["settings"]["encoder"])
            second = trees = sets = None
            if (folder / "sets.json").is_file():
                sets = msgspec.json.decode((folder / "sets.json").read_bytes(), type=Sets)
            if (folder / "second.json").is_file():
                second = msgspec.json.decode((folder / "second.json").read_bytes(), type=SecondLook)
            if (folder / "reranker").is_dir():
                trees = PairMatcher.load(folder / "reranker")
            names = names_of(parts, pairs=True), names_of(parts, pairs=True, reranked=True)
            if decider.names != names[0] or (second and second.decider and second.decider.names != names[1]):
                raise ValueError("it reads other signals")
            if second is not None and second.helps and second.decider is None:
                raise ValueError("it does not say what a reranked list is worth")
        except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
            raise ArtefactError(f"{folder}: not a calibration ({error})", next_step=REMEDY) from error
        return cls(decider, pairs, parts, encoder, second, trees, sets)


def _verdict(decider: Decider, signals_: Sequence[float]) -> Verdict:
    row = np.array([signals_])
    right, absent = (float(head.probability(row)[0]) for head in (decider.right, decider.absent))
    # two models of one list may not say more than there is
    return Verdict(right, min(absent, 1.0 - right))


def calibrate(
    matcher: Matcher,
    contents: Iterable[Content],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    absent: float | None = None,
    folder: str | Path = ".",
    seed: int = 0,
    rerank: Scorer | Grow | None = None,
    depth: int = DEPTH,
    hold_out: float = 0.0,
) -> Calibration:
    """Learn from contents whose products are known how far the matcher can be trusted on this catalog.

    Args:
        matcher: Over the index that contents will be matched with.
        contents: Watched contents, such as will come; those without a row in ``qrels`` are left out.
        qrels: Content id to product id to grade; grades above 0 are right. No such product: the catalog has none.
        absent: Share of contents to come whose product the catalog does not have. For contents that have one, their
            list in an index without it stands for that. None: as among ``contents`` where at least ``FEWEST_OF_EACH``
            of them have no product, else ``ABSENT``.
        folder: Where relative media paths of the contents start.
        seed: Of the folds.
        rerank: A reranker whose use is learned as well, or what grows trees (``llmrec.train.pair_trees.grow_trees``):
            then they are grown on the contents' own lists.
        depth: Products of a list that the reranker looks at.
        hold_out: Share of the contents that sets of answers rest on and nothing is fitted on; 0: they rest on what is
            said of all contents out of fold.

    Raises:
        InputError: Too few contents, one whose media has not been watched, or a share out of range.
    """
    if not 0 <= hold_out < 0.9:
        raise InputError(f"hold_out={hold_out}: a share", next_step="Give a number from 0 to 0.9.")
    if absent is not None and not 0 < absent < 1:
        raise InputError(f"absent={absent}: a share", next_step="Give a number between 0 and 1.")
    index: Any = matcher.index
    judged = [content for content in contents if content.id in qrels]
    known = set(index.ids_where(matcher.settings.where))
    true = {c.id: {id for id, grade in qrels[c.id].items() if grade > 0 and id in known} for c in judged}
    real = sum(not products for products in true.values())
    share = absent if absent is not None else None if real >= FEWEST_OF_EACH else ABSENT
    pairs = PairFeatures.fit(islice(index.each_product(), COUNTED))
    parts = index.parts
    made = Calibration(_nothing(), pairs, parts, index.encoder_digest)
    rows: list[list[float]] = []
    seen: list[Seen] = []
    wide = WIDTH if rerank is None else max(WIDTH, depth)

    def add(over: Matcher, own: Sequence[Content], weight: float, *, without: bool) -> None:
        searched: Any = over.index
        for start in range(0, len(own), BATCH):
            batch = own[start : start + BATCH]
            lists = over.lists(batch, folder=folder)
            ids = [[hit.product_id for hit in hits[:wide]] for hits, _ in lists]
            stood = searched.standing([query for _, query in lists], ids, over.settings.where)
            for content, (hits, query), standing in zip(batch, lists, stood, strict=True):
                if hits:
                    good = frozenset() if without else frozenset(true[content.id])
                    rows.append(made.row(hits, standing, query, searched.product(hits[0].product_id)))
                    seen.append(Seen(content.id, hits, query, standing, good, weight))

    present = [content for content in judged if true[content.id]]
    missing = [content for content in judged if not true[content.id]]
    # those that have none and those that stand for such weigh ``share`` together
    apart = 1.0 if share is None else share * len(present) / len(judged)
    add(matcher, present, 1.0 if share is None else 1 - share, without=False)
    add(matcher, missing, apart, without=False)
    if share is not None:
        # taken out of a list afterwards, a product leaves its words behind: a catalog that knows a query's model number
        # is not one that has never had it
        for part in _parts(present, true, len(index), seed):
            thinned = index.without({id for content in part for id in true[content.id]})
            add(matcher.over(thinned), part, apart, without=True)
    held = held_out(seen, components(seen), hold_out, seed).tolist()
    learned = [one for one, out in zip(seen, held, strict=True) if not out]
    right, none = [one.hits[0].product_id in one.right for one in learned], [not one.right for one in learned]
    table = np.array([row for row, out in zip(rows, held, strict=True) if not out]).reshape(len(learned), -1)
    weights, ids = np.array([one.weight for one in learned]), [one.content for one in learned]
    found = fit_decider(table, right, none, ids, names_of(parts, pairs=True), weights=weights, seed=seed)
    made.decider, looked = found.decider, list[Second | None]([None] * len(learned))
    if rerank is not None:
        again = learn_second(learned, found, index.product, pairs, parts, rerank, depth=depth, seed=seed)
        made.second, made.trees, found, looked = again
    told = [Told(*one) for one in zip(found.probability.tolist(), found.absent.tolist(), looked, strict=True)]
    kept = learned
    if hold_out:
        kept = [one for one, out in zip(seen, held, strict=True) if out]
        told = judge_lists(made, kept, index.product, rerank if isinstance(rerank, Scorer) else made.own_scorer)
    made.sets = learn_sets(kept, told, learned, held_out=bool(hold_out))
    return made


def _parts(contents: Sequence[Content], true: Mapping[str, set[str]], count: int, seed: int) -> list[list[Content]]:
    """The contents in parts, so many that the right products of each are a small share of the catalog."""
    products = len({id for content in contents for id in true[content.id]})
    parts = max(2, math.ceil(products / (TAKEN * count)))
    order = np.random.default_rng(seed).permutation(len(contents))
    return [[contents[i] for i in order[start::parts]] for start in range(parts)]


def _nothing() -> Decider:
    from llmrec.match.decision import Linear

    flat = Linear((), (), (), (), 0.0)
    return Decider((), flat, flat, (), {}, ())
