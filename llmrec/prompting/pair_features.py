"""A pair of offers as numbers: how much they agree, word by word, size by size, in price and in brand.

::

    features = PairFeatures.fit(offers)                  # counts how common each word is among the shop's offers
    features.rows([("Denon DVD3800BDCI", "denon dvd-3800bdci black")])       # float32[1, len(features.names)]

A word weighs its inverse document frequency, so that two titles that differ in ``black`` agree more than two that
differ in ``dvd3800bdci``. Boosted trees over these alone are a strong matcher (``eval/README.md``), and a cross-encoder
learns what they leave open. -1 stands for what an offer does not say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler

from llmrec.prompting.pair_words import Compared, Words, compare_ready, is_code, is_number, measures, pair_words, ready
from llmrec.prompting.pairs import Offer, OfferFields, offer_fields

VERSION = 1

_BLOCK = (
    "weight_jaccard", "weight_left_or_more", "weight_right_or_less", "weight_same", "weight_only_less",
    "weight_only_more", "rarest_same", "second_rarest_same", "rarest_only_less", "rarest_only_more",
    "second_rarest_only", "jaccard", "only_less", "only_more", "same", "code_same", "code_only_less", "code_only_more",
    "number_same", "number_only_less", "number_only_more", "code_longest_same", "code_nearest", "code_part_nearest",
    "unit_same", "unit_conflict", "unit_one_side", "number_shared", "number_conflict", "new_words_less",
    "new_words_more", "token_set", "token_sort", "partial", "jaro_winkler", "cosine_grams", "cosine_words",
    "length_less", "length_more", "first_word_same", "first_word_said",
)  # fmt: skip
_ACROSS = ("weight_in_other", "weight_missing_in_other", "code_missing_in_other")
_ENDS = ("price_ratio", "brand_less", "brand_more")
_GRAM, _UNSAID = 3, -1.0

#: Words of an offer that are compared: the time grows with their square.
MOST_WORDS = 300


class _Vector(NamedTuple):
    """Weights of terms by their inverse document frequency, and their length."""

    weights: dict[str, float]
    norm: float


class _Text(NamedTuple):
    """What is known of a text before it is held against another."""

    ready: Words
    joined: str
    measures: dict[str, set[str]]
    numbers: frozenset[str]
    grams: _Vector
    counted: _Vector


class _Side(NamedTuple):
    """An offer; ``all`` is ``title`` itself where nothing else is said, ``brand`` None where there is none."""

    title: _Text
    all: _Text
    brand: str | None
    price: float | None


class PairFeatures:
    """Features of pairs, symmetric: a pair and the same pair turned round have the same row.

    Args:
        offers: How many offers were counted.
        words: In how many of them each word stands.
        grams: In how many titles each three characters stand.
    """

    names: tuple[str, ...] = (
        *(f"title_{name}" for name in _BLOCK),
        *(f"all_{name}" for name in _BLOCK),
        *(f"{end}_{name}" for end in ("less", "more") for name in _ACROSS),
        *_ENDS,
    )

    def __init__(self, offers: int, words: Mapping[str, int], grams: Mapping[str, int]) -> None:
        self._offers, self._words, self._grams = offers, dict(words), dict(grams)

    @classmethod
    def fit(cls, offers: Iterable[Offer]) -> PairFeatures:
        """Count words over the distinct offers of a training file; labels are not looked at."""
        words: Counter[str] = Counter()
        grams: Counter[str] = Counter()
        distinct = {offer_fields(offer): None for offer in offers}
        for fields in distinct:
            words.update(set(pair_words(fields.text)))
            grams.update(set(_grams(pair_words(fields.title))))
        return cls(len(distinct), words, grams)

    def state(self) -> dict[str, Any]:
        """What ``from_state`` takes, as JSON can hold it."""
        return {"version": VERSION, "offers": self._offers, "words": self._words, "grams": self._grams}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PairFeatures:
        """The features that ``state`` was taken from.

        Raises:
            ValueError: The state is of another version.
        """
        if state.get("version") != VERSION:
            raise ValueError(f"pair features of version {state.get('version')}, not {VERSION}")
        return cls(int(state["offers"]), state["words"], state["grams"])

    def rows(self, pairs: Sequence[tuple[Offer, Offer]]) -> npt.NDArray[np.float32]:
        """The features of each pair, float32 [pairs, names]."""
        # a content is compared with many products: what is known of one offer alone is found out once
        sides: dict[int, _Side] = {}

        def side(offer: Offer) -> _Side:
            found = sides.get(id(offer))
            if found is None:
                found = sides[id(offer)] = self._side(offer_fields(offer))
            return found

        rows = [self._row(side(left), side(right)) for left, right in pairs]
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(self.names))

    def _side(self, fields: OfferFields) -> _Side:
        title, text = pair_words(fields.title)[:MOST_WORDS], pair_words(fields.text)[:MOST_WORDS]
        own = self._text(title)
        brand = " ".join(pair_words(fields.brand)) if fields.brand else None
        return _Side(own, own if text == title else self._text(text), brand, fields.price)

    def _text(self, words: list[str]) -> _Text:
        numbers = frozenset(word for word in words if is_number(word))
        grams, counted = self._vector(_grams(words), self._grams), self._vector(words, self._words)
        return _Text(ready(words), " ".join(words), measures(words), numbers, grams, counted)

    def _row(self, left: _Side, right: _Side) -> list[float]:
        row = self._block(left.title, right.title)
        row += row if left.all is left.title and right.all is right.title else self._block(left.all, right.all)
        across = [self._across(left.title, right.all), self._across(right.title, left.all)]
        for end in (min, max):
            row += [end(pair) for pair in zip(*across, strict=True)]
        brands = _ends(_partial(left.brand, right.all), _partial(right.brand, left.all))
        return [*row, _ratio(left.price, right.price), *brands]

    def _block(self, one: _Text, other: _Text) -> list[float]:
        left, right = one.ready.words, other.ready.words
        compared = compare_ready(one.ready, other.ready)
        row = [*self._weighed(compared), *_counted(compared), *_coded(compared), *_measured(one, other)]
        row += self._news(compared)
        a, b = one.joined, other.joined
        row += [fuzz.token_set_ratio(a, b) / 100, fuzz.token_sort_ratio(a, b) / 100]
        row += [_part(a, b), JaroWinkler.similarity(a, b)]
        row += [_cosine(one.grams, other.grams), _cosine(one.counted, other.counted)]
        first = [bool(left) and left[0] in other.ready.known, bool(right) and right[0] in one.ready.known]
        row += [*_ends(len(left), len(right)), float(left[:1] == right[:1] != []), float(sum(first))]
        return row

    def _weight(self, word: str) -> float:
        return math.log((self._offers + 1) / (self._words.get(word, 0) + 1)) + 0.1

    def _weighed(self, compared: Compared) -> list[float]:
        """Agreement with each word weighed by how rare it is."""
        same, left, right = (sorted(map(self._weight, words), reverse=True) for words in compared)
        total, a, b = sum(same), sum(left), sum(right)
        shares = sorted((_share(total, a), _share(total, b)), reverse=True)
        rarest = [_at(left, 0), _at(right, 0)]
        return [
            *(_share(total, a + b), *shares, total, *_ends(a, b)),
            *(_at(same, 0), _at(same, 1), *_ends(*rarest), min(_at(left, 1), _at(right, 1))),
        ]

    def _news(self, compared: Compared) -> list[float]:
        """What the words that only one says weigh, less where the other has one spelt nearly the same."""
        left, right = ([w for w in words if w.isalpha() and len(w) > 2] for words in (compared.left, compared.right))

        def news(words: list[str], other: list[str]) -> float:
            return sum(min([1 - fuzz.ratio(w, o) / 100 for o in other], default=1.0) * self._weight(w) for w in words)

        return _ends(news(left, right), news(right, left))

    def _across(self, title: _Text, other: _Text) -> list[float]:
        """How much of a title stands anywhere in the other offer."""
        compared = compare_ready(title.ready, other.ready)
        same, missing = (sum(map(self._weight, words)) for words in (compared.same, compared.left))
        return [_share(same, missing), missing, float(sum(map(is_code, compared.left)))]

    def _vector(self, terms: Sequence[str], counts: Mapping[str, int]) -> _Vector:
        weights = {
            term: (1 + math.log(n)) * math.log(1 + (self._offers + 1) / (counts.get(term, 0) + 1))
            for term, n in Counter(terms).items()
        }
        return _Vector(weights, math.sqrt(math.fsum(value * value for value in weights.values())))


def _cosine(left: _Vector, right: _Vector) -> float:
    a, b = left.weights, right.weights
    # sums without rounding, so that a pair turned round has the same bits
    dot = math.fsum(a[term] * b[term] for term in a.keys() & b.keys())
    return dot / (left.norm * right.norm) if left.norm and right.norm else 0.0


def _counted(compared: Compared) -> list[float]:
    same, left, right = map(len, compared)
    row = [same / max(1, same + left + right), *_ends(left, right), float(same)]
    for kind in (is_code, is_number):
        both, a, b = _count(kind, compared)
        row += [float(both), *_ends(a, b)]
    return row


def _coded(compared: Compared) -> list[float]:
    """The longest model number that both have, and how near the others come to one another."""
    same, left, right = ([word for word in words if is_code(word)] for words in compared)
    near = max((JaroWinkler.similarity(a, b) for a in left for b in right), default=_UNSAID)
    part = max(
        (max(fuzz.partial_ratio(a, b), fuzz.partial_ratio(b, a)) / 100 for a in left for b in right), default=_UNSAID
    )
    return [float(max(map(len, same), default=0)), near, part]


def _measured(left: _Text, right: _Text) -> list[float]:
    """Units of which a number agrees, of which none does, that one side has alone; the same of bare numbers."""
    a, b = left.measures, right.measures
    both = a.keys() & b.keys()
    agree = sum(bool(a[unit] & b[unit]) for unit in both)
    numbers = [left.numbers, right.numbers]
    shared = len(numbers[0] & numbers[1])
    conflict = all(numbers) and not shared
    return [float(agree), float(len(both) - agree), float(len(a.keys() ^ b.keys())), float(shared), float(conflict)]


def _count(kind: Callable[[str], bool], compared: Compared) -> tuple[int, int, int]:
    same, left, right = (sum(map(kind, words)) for words in compared)
    return same, left, right


def _ratio(left: float | None, right: float | None) -> float:
    """The logarithm of the dearer price over the other."""
    return abs(math.log(left / right)) if left and right and left > 0 and right > 0 else _UNSAID


def _partial(brand: str | None, other: _Text) -> float:
    """How much of the brand stands in the other offer, 0 to 1."""
    return _UNSAID if brand is None else fuzz.partial_ratio(brand, other.joined) / 100


def _part(a: str, b: str) -> float:
    """How well the shorter text fits somewhere in the longer, 0 to 1; for equal lengths the order would count."""
    return max(fuzz.partial_ratio(a, b), fuzz.partial_ratio(b, a)) / 100


def _grams(words: Sequence[str]) -> list[str]:
    text = f" {' '.join(words)} "
    return [text[i : i + _GRAM] for i in range(len(text) - _GRAM + 1)]


def _ends(a: float, b: float) -> list[float]:
    return [float(min(a, b)), float(max(a, b))]


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest else 0.0


def _at(values: Sequence[float], index: int) -> float:
    return values[index] if index < len(values) else 0.0
