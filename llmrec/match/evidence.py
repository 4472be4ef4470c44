"""Why a product was found: which words of the content met which field of the product.

::

    Evidence(source="speech", start=2.4, end=4.0, text="Trail two", field="title")

Words are weighted by how few of the candidates have them: that a shoe is a *shoe* says little among shoes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from llmrec.match.words import Word, words
from llmrec.records import Content, Evidence, EvidenceSource, Product

#: Evidence per product.
LIMIT = 5
#: A word that is not the product's may stand inside a quotation, but not two.
MAX_GAP = 1
#: What a word still counts once another quotation has shown it.
REPEATED = 0.25
#: What a word that was met inexactly counts (speech and screen text are misread by a letter or two).
FUZZY = 0.7

# The folded words of each field of a product.
FieldForms = Mapping[str, frozenset[str]]

# A word of the content, the product's form of it, its weight.
Run = list[tuple[Word, str, float]]

# The field that a word is attributed to when several have it.
FIELDS = ("title", "brand", "attributes", "category", "description")

# The fields that tell a product from another.
NAMING = ("title", "brand", "attributes")


class Segment(msgspec.Struct, frozen=True):
    """A stretch of the content with one source and one time (seconds), and the words in it."""

    source: EvidenceSource
    text: str
    words: list[Word]
    start: float | None = None
    end: float | None = None


def segments_of(content: Content) -> list[Segment]:
    """The stretches of a content that can be quoted."""
    written: list[tuple[EvidenceSource, str]] = [
        ("title", content.title),
        ("caption", content.caption),
        ("hashtags", " ".join(content.hashtags)),
    ]
    found = [Segment(source, text, words(text)) for source, text in written if text]
    timed = sorted(content.timed_text, key=lambda piece: (piece.start, piece.end))
    return found + [Segment(piece.source, piece.text, words(piece.text), piece.start, piece.end) for piece in timed]


def field_texts(product: Product) -> dict[str, str]:
    """The text of each field that evidence may point to."""
    return {
        "title": product.title,
        "brand": product.brand,
        "attributes": " ".join(f"{name} {value}" for name, value in product.attributes.items()),
        "category": " ".join(product.category),
        "description": product.description,
    }


def field_forms(product: Product) -> FieldForms:
    """The folded words of each field of a product; worth keeping, since a product is a candidate many times."""
    return {name: frozenset(word.form for word in words(text)) for name, text in field_texts(product).items()}


def word_weights(candidates: Iterable[FieldForms]) -> dict[str, float]:
    """Weigh words by their rarity among the candidates: ``0.1 + ln(n / df)``; function words weigh nothing."""
    counts: Counter[str] = Counter()
    total = 0
    for fields in candidates:
        total += 1
        counts.update(frozenset().union(*fields.values()))
    ignored = _function_words()
    return {form: 0.0 if form in ignored else 0.1 + math.log(total / df) for form, df in counts.items()}


def explain(
    segments: Sequence[Segment], fields: FieldForms, weights: Mapping[str, float], limit: int = LIMIT
) -> tuple[Evidence, ...]:
    """Quote the words of a content that speak for a product, the weightiest first.

    Args:
        segments: The content's stretches (``segments_of``).
        fields: The words of the product to explain (``field_forms``).
        weights: Weight of each word (``word_weights`` over the candidates).
        limit: At most so many quotations.

    Returns:
        Quotations of the content's own characters; words already quoted count little towards another quotation.
    """
    runs: list[tuple[Segment, str, Run]] = []
    for field, known in fields.items():
        runs += [(segment, field, run) for segment in segments for run in _runs(segment.words, known, weights)]

    shown: set[str] = set()
    sources: set[EvidenceSource] = set()
    found: list[Evidence] = []

    def worth(item: tuple[Segment, str, Run]) -> tuple[float, int]:
        distinct = {form: weight for _, form, weight in item[2]}
        total = sum(weight * (REPEATED if form in shown else 1.0) for form, weight in distinct.items())
        return round(total, 6), -FIELDS.index(item[1])

    while runs and len(found) < limit:
        best = max(runs, key=worth)
        runs.remove(best)
        segment, field, run = best
        if segment.source in sources and all(form in shown for _, form, _ in run):
            continue
        quoted = segment.text[run[0][0].start : run[-1][0].end]
        found.append(Evidence(segment.source, segment.start, segment.end, quoted, field))
        shown.update(form for _, form, _ in run)
        sources.add(segment.source)
    return tuple(found)


def matched(segment: Segment, fields: FieldForms, weights: Mapping[str, float]) -> float:
    """How much of a stretch's words, each counted once, are those of a product's title, brand and attributes."""
    known = frozenset().union(*(fields[name] for name in NAMING if name in fields))
    forms = {form: weight for run in _runs(segment.words, known, weights) for _, form, weight in run}
    return sum(forms.values())


def _runs(heard: list[Word], known: frozenset[str], weights: Mapping[str, float]) -> list[Run]:
    """Group the words of a stretch that are known into runs without long gaps, each starting and ending on one."""
    runs: list[Run] = []
    current: Run = []
    gap = 0
    for word in heard:
        form, factor = (word.form, 1.0) if word.form in known else (_near(word.form, known), FUZZY)
        weight = weights.get(form, 0.0) * factor if form else 0.0
        if form and weight > 0:
            current.append((word, form, weight))
            gap = 0
        elif current:
            gap += 1
            if gap > MAX_GAP:
                runs.append(current)
                current, gap = [], 0
    if current:
        runs.append(current)
    return runs


@lru_cache(maxsize=50_000)
def _near(form: str, known: frozenset[str]) -> str:
    """The product's word that ``form`` is a misreading of: one edit in 5 to 8 letters, two in more; "" if none."""
    if len(form) < 5 or form.isdigit() or not form[0].isascii():
        return ""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extractOne

    allowed = 1 if len(form) < 9 else 2
    near = extractOne(form, _long_words(known), scorer=OSA.distance, score_cutoff=allowed)
    return near[0] if near else ""


@lru_cache(maxsize=2_000)
def _long_words(known: frozenset[str]) -> list[str]:
    return sorted(form for form in known if len(form) >= 5 and not form.isdigit())


@lru_cache(maxsize=1)
def _function_words() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN_PLUS, STOPWORDS_FRENCH, STOPWORDS_GERMAN, STOPWORDS_SPANISH

    from llmrec.match.words import fold

    everything = [*STOPWORDS_EN_PLUS, *STOPWORDS_GERMAN, *STOPWORDS_FRENCH, *STOPWORDS_SPANISH]
    # number words are folded to digits, which tell a size or a generation
    return frozenset(fold(word) for word in everything if not fold(word).isdigit())
