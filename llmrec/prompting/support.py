"""Each claim tied to the words that back it; claims that nothing backs are dropped and named in ``problems``.

Small models copy from the worked example and make up numbers: of a toaster oven, SmolLM2-135M writes "voltage = 19.5 V;
colour = white". A claim stays when all its numbers and most of its words stand in one field of the product (or one
piece of the content), and none of its words was copied from the prompt's example alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from llmrec.prompting.answers import ParsedIntent, ParsedSummary
from llmrec.prompting.spans import claims, find_literal, find_words, forms, words
from llmrec.records import Content, EvidenceSource, IntentSupport, Product, Support

#: Share of a claim's words that must stand in the source: of a name or value, of a highlight or sentence.
STRICT, LOOSE = 0.99, 0.75
#: Words between a bare number and the name that it is a value of.
NEAR = 4
_CLAUSE = re.compile(r"\s*(?:[;；]|,\s|[，、]|(?<=[.!?])\s)\s*")


class Span(msgspec.Struct, frozen=True):
    """A stretch ``[start, end)`` of one of the sources, by its place among them."""

    source: int
    start: int
    end: int


class Checker:
    """Checks claims against source texts.

    Args:
        sources: The texts.
        examples: The prompt's worked examples.
        names: For each source, words that its field is called by.
    """

    def __init__(
        self, sources: Sequence[str], examples: str = "", names: Sequence[frozenset[str]] | None = None
    ) -> None:
        self.sources = sources
        self.names = names or [frozenset()] * len(sources)
        self.known = forms(sources).union(*self.names)
        self.copied = forms([examples]) - self.known

    def find(self, claim: str, least: float) -> Span | None:
        """Where a claim is backed: word for word, else by the most of its words, else None."""
        for place, text in enumerate(self.sources):
            if literal := find_literal(claim, text):
                return Span(place, *literal)
        best: tuple[float, int, Span] | None = None
        for place, text in enumerate(self.sources):
            if found := find_words(claim, text, least, self.names[place]):
                start, end, share = found
                if best is None or (share, start - end) > best[:2]:
                    best = (share, start - end, Span(place, start, end))
        return best[2] if best else None

    def find_value(self, name: str, value: str) -> Span | None:
        """Where a named value is backed; a bare number must stand near its name ("size 42", not any 42)."""
        bare = all(word.number for word in words(value))
        if not bare or not words(value):
            return self.find(value, STRICT)
        named = forms([name])
        for place, text in enumerate(self.sources):
            said = words(text)
            for i, word in enumerate(said):
                around = self.names[place] | {other.form for other in said[max(0, i - NEAR) : i + NEAR + 1]}
                if word.form == words(value)[0].form and named & around and find_words(value, text, STRICT):
                    return Span(place, word.start, word.end)
        return None

    def invented(self, text: str) -> list[str]:
        """Numbers, and words of the prompt's example, that stand in none of the sources."""
        return [w.form for w in claims(text) if w.form not in self.known and (w.number or w.form in self.copied)]

    def share(self, text: str) -> float:
        """Share of a text's words that stand in the sources."""
        said = claims(text)
        return sum(word.form in self.known for word in said) / len(said) if said else 0.0

    def without_inventions(self, text: str, least: float) -> tuple[str, list[str]]:
        """A text without the clauses that are made up, and those clauses."""
        kept: list[str] = []
        dropped: list[str] = []
        seen: set[tuple[str, ...]] = set()
        for clause, separator in _clauses(text):
            if claims(clause) and (self.invented(clause) or self.share(clause) < least):
                dropped.append(clause)
            elif (said := tuple(word.form for word in claims(clause))) not in seen or not said:
                seen.add(said)
                kept.append(clause + separator)
        return "".join(kept).strip(" ,;"), dropped


def ground_summary(
    parsed: ParsedSummary, product: Product, examples: str = ""
) -> tuple[ParsedSummary, tuple[Support, ...]]:
    """Tie a summary's claims to the product's fields.

    Args:
        parsed: What the model wrote.
        product: What it wrote about.
        examples: The prompt's worked examples (``Prompt.examples``).

    Returns:
        The summary without what nothing backs (named in its problems), and where the rest stands: ``field`` is
        ``title``, ``description``, ``brand``, ``category`` (the path joined by " > ") or ``attributes.NAME``; ``start``
        and ``end`` count characters of that text.
    """
    fields = _product_fields(product)
    names = [frozenset(forms([name.partition(".")[2]])) for name, _text in fields]
    checker = Checker([text for _name, text in fields], examples, names)
    support: list[Support] = []
    problems = list(parsed.problems)

    def note(claim: str, span: Span | None) -> bool:
        if span is not None:
            support.append(Support(claim, fields[span.source][0], span.start, span.end))
        return span is not None

    # a kind of product may be named in other words than the product's own, but not by the example's or by numbers
    headline = parsed.headline
    if headline and checker.invented(headline):
        problems.append(f"headline: not in the product, dropped: {headline}")
        headline = ""
    elif headline:
        note(headline, checker.find(headline, LOOSE))
    highlights = []
    for item in parsed.highlights:
        if not checker.invented(item) and note(item, checker.find(item, LOOSE)):
            highlights.append(item)
        else:
            problems.append(f"highlights: not in the product, dropped: {item}")
    attributes = {}
    for name, value in parsed.attributes.items():
        if note(f"{name} = {value}", checker.find_value(name, value)):
            attributes[name] = value
        else:
            problems.append(f"attributes: not in the product, dropped: {name} = {value}")
    summary, dropped = checker.without_inventions(parsed.summary, LOOSE)
    problems += [f"summary: not in the product, dropped: {clause}" for clause in dropped]
    if summary:
        note(summary, checker.find(summary, LOOSE))
    checked = ParsedSummary(headline, summary, tuple(highlights), attributes, tuple(problems))
    return checked, tuple(support)


def ground_intent(
    parsed: ParsedIntent, content: Content, examples: str = ""
) -> tuple[ParsedIntent, tuple[IntentSupport, ...]]:
    """Tie an intent's claims to the content's words, with their seconds; arguments as in ``ground_summary``."""
    pieces = content_pieces(content)
    checker = Checker([text for _source, text, _start, _end in pieces], examples)
    support: list[IntentSupport] = []
    problems = list(parsed.problems)

    def note(claim: str, span: Span | None) -> bool:
        if span is not None:
            source, text, start, end = pieces[span.source]
            support.append(IntentSupport(claim, source, text[span.start : span.end], start, end))
        return span is not None

    product_type = parsed.product_type
    if product_type and checker.invented(product_type):
        problems.append(f"product_type: not in the content, dropped: {product_type}")
        product_type = ""
    elif product_type and not note(product_type, checker.find(product_type, LOOSE)):
        problems.append(f"product_type: in other words than the content's: {product_type}")
    brand = parsed.brand
    if brand and brand.casefold() == product_type.casefold():
        problems.append("brand: the product type again, dropped")
        brand = ""
    elif brand and not note(brand, checker.find(brand, STRICT)):
        problems.append(f"brand: not in the content, dropped: {brand}")
        brand = ""
    attributes = {}
    for name, value in parsed.attributes.items():
        if value.casefold() in {product_type.casefold(), brand.casefold()}:
            problems.append(f"attributes: the product again, dropped: {name}")
        elif note(f"{name} = {value}", checker.find_value(name, value)):
            attributes[name] = value
        else:
            problems.append(f"attributes: not in the content, dropped: {name} = {value}")
    query, dropped = checker.without_inventions(parsed.query, LOOSE)
    problems += [f"query: not in the content, dropped: {clause}" for clause in dropped]
    if not query and product_type:
        problems.append("query: put together from the other fields")
        # "Sony" and "Sony clock radio" are one name
        name = product_type if forms([brand]) <= forms([product_type]) else f"{brand} {product_type}"
        query = ", ".join([name, *(value for value in attributes.values() if not forms([value]) <= forms([name]))])
    if query:
        note(query, checker.find(query, LOOSE))
    checked = ParsedIntent(product_type, brand, attributes, query, tuple(problems))
    return checked, tuple(support)


def content_pieces(content: Content) -> list[tuple[EvidenceSource, str, float | None, float | None]]:
    """Every piece of text of a content: source, text, and its seconds where it has any."""
    pieces: list[tuple[EvidenceSource, str, float | None, float | None]] = []
    if content.title:
        pieces.append(("title", content.title, None, None))
    if content.caption:
        pieces.append(("caption", content.caption, None, None))
    pieces += [("hashtags", tag, None, None) for tag in content.hashtags]
    pieces += [(item.source, item.text, item.start, item.end) for item in content.timed_text]
    return pieces


def _product_fields(product: Product) -> list[tuple[str, str]]:
    fields = [
        ("title", product.title),
        ("brand", product.brand),
        *((f"attributes.{name}", value) for name, value in product.attributes.items()),
        ("description", product.description),
        ("category", " > ".join(product.category)),
    ]
    return [(name, text) for name, text in fields if text]


def _clauses(text: str) -> list[tuple[str, str]]:
    """Clauses, each with the separator after it."""
    out = []
    at = 0
    for match in _CLAUSE.finditer(text):
        out.append((text[at : match.start()], match[0]))
        at = match.end()
    return [*out, (text[at:], "")]
