"""The frozen records that flow between the rooms, in the exact shape of the wire form.

A real product and a real match, one JSON object a line::

    {"id":"B07","title":"Acme Trail 2 running shoe, 42","brand":"Acme","price":{"amount":89.0,"currency":"EUR"}}
    {"content_id":"clip-1","products":[{"product_id":"B07","rank":1,"score":3.1,"probability":null,"evidence":[
      {"source":"speech","start":2.4,"end":4.0,"text":"the Trail two","field":"title"}]}],
      "no_match":{"decision":null,"probability":null,"possible":null},"reranked":null}

Records are ``msgspec.Struct``s: immutable, checked on decoding, about ten times quicker to read and write than
dataclasses through ``json``. Times are seconds from the start of the content.
"""

from __future__ import annotations

from math import inf
from typing import Any, Literal

import msgspec

ContentKind = Literal["video", "live", "search", "post"]
TextSource = Literal["speech", "screen", "caption", "chat", "vision"]
#: Where evidence was found: a timed text source, or one of a content's own text fields.
EvidenceSource = Literal["speech", "screen", "caption", "chat", "vision", "title", "hashtags"]


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """An amount of money; ``currency`` is an ISO 4217 code, empty when the source names none."""

    amount: float
    currency: str = ""


class Product(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of a catalog. ``extra`` keeps every column that has no field of its own."""

    id: str
    title: str
    description: str = ""
    brand: str = ""
    category: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    price: Price | None = None
    images: tuple[str, ...] = ()
    url: str = ""
    language: str = ""
    extra: dict[str, Any] = {}


class TimedText(msgspec.Struct, frozen=True, omit_defaults=True):
    """Words said, shown or typed between ``start`` and ``end`` (seconds)."""

    start: float
    end: float
    text: str
    source: TextSource
    confidence: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end < inf:
            raise ValueError(f"times must be 0 <= start <= end, not {self.start} and {self.end}")


class Keyframe(msgspec.Struct, frozen=True, omit_defaults=True):
    """A still of the content at ``time`` (seconds); ``shot`` counts from 0.

    Attributes:
        vector: Unit vector of the picture as little-endian float16, by the content's ``image_encoder``; empty: not
            encoded. In JSON it is base64.
    """

    time: float
    path: str
    shot: int | None = None
    vector: bytes = b""


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something watched or asked: a video, a livestream, a search query or a post.

    ``image_encoder`` is the digest of the encoder that made the keyframes' vectors, empty where there are none.
    """

    id: str
    kind: ContentKind
    title: str = ""
    caption: str = ""
    hashtags: tuple[str, ...] = ()
    language: str = ""
    media: str = ""
    timed_text: tuple[TimedText, ...] = ()
    keyframes: tuple[Keyframe, ...] = ()
    image_encoder: str = ""


class Support(msgspec.Struct, frozen=True):
    """A claim of a summary and the characters ``[start, end)`` of the product field that back it."""

    claim: str
    field: str
    start: int
    end: int


class PromptVersion(msgspec.Struct, frozen=True):
    """Which prompt wrote a text."""

    name: str
    version: str


class ProductSummary(msgspec.Struct, frozen=True):
    """What a language model wrote about a product, with the source of each claim.

    ``problems`` lists what the parser could not use; an empty ``summary`` with a problem means that the model's answer
    could not be read.
    """

    product_id: str
    headline: str
    summary: str
    highlights: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    support: tuple[Support, ...] = ()
    model: str = ""
    adapter: str | None = None
    prompt: PromptVersion | None = None
    problems: tuple[str, ...] = ()


class IntentSupport(msgspec.Struct, frozen=True):
    """A claim of an intent and the words of the content (with their time in seconds) that back it."""

    claim: str
    source: EvidenceSource
    text: str
    start: float | None = None
    end: float | None = None


class Intent(msgspec.Struct, frozen=True):
    """What a content shows or wants; ``query`` is the sentence that is embedded.

    A content in which several products appear has several intents; ``start`` and ``end`` (seconds) bound the part of
    the content that each is about, null where the content has no times.
    """

    content_id: str
    product_type: str = ""
    brand: str = ""
    attributes: dict[str, str] = {}
    query: str = ""
    support: tuple[IntentSupport, ...] = ()
    problems: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None


class Query(msgspec.Struct, frozen=True):
    """What a retriever is asked: the whole text, and the short title of it where there is one."""

    text: str
    title: str = ""


class Hit(msgspec.Struct, frozen=True):
    """A product found by a retriever; a higher ``score`` is better. ``retriever`` names who found it."""

    product_id: str
    score: float
    retriever: str


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Words of the content (``text`` from ``source``, seconds where timed) that met a ``field`` of the product.

    A picture that looks like the product's has source ``vision``, no text, the path of the keyframe in ``frame``, and
    the field ``images`` (or ``title``, for an encoder of pictures and texts).
    """

    source: EvidenceSource
    start: float | None
    end: float | None
    text: str
    field: str
    frame: str = ""


class Span(msgspec.Struct, frozen=True):
    """A stretch of time, in seconds from the start of the content."""

    start: float
    end: float


class RuleEffect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule did to a product: the rank that it had before and after, and what was added to its score.

    ``by`` is absent where only others were moved. ``rule`` is the rule's name; ``diversity`` and
    ``min-precision`` (``hold``) are no rules of a file.
    """

    rule: str
    action: Literal["boost", "hold", "cap", "diversity"]
    before: int
    after: int
    by: float | None = None


def _null() -> None:
    """A default that is written, unlike a plain one of a record with ``omit_defaults``."""
    return None


def _nothing() -> tuple[Any, ...]:
    return ()


class RankedProduct(msgspec.Struct, frozen=True, omit_defaults=True):
    """A product in a match; ``rank`` counts from 1, ``probability`` is null until a calibration is given.

    ``shown`` tells when the product is on screen or spoken of, in order of time; empty where the content has no times.
    ``rules`` tells what the rules of the match did to it, in the order in which they did; absent where they did none.
    """

    product_id: str
    rank: int
    score: float
    probability: float | None = msgspec.field(default_factory=_null)
    evidence: tuple[Evidence, ...] = msgspec.field(default_factory=_nothing)
    shown: tuple[Span, ...] = msgspec.field(default_factory=_nothing)
    rules: tuple[RuleEffect, ...] = ()


class NoMatch(msgspec.Struct, frozen=True):
    """Whether the catalog has no such product (null: not decided), and how probable that is.

    ``possible`` says whether that is in the set of answers which the products are cut to; null where they are not.
    """

    decision: bool | None = None
    probability: float | None = None
    possible: bool | None = None


class Reranked(msgspec.Struct, frozen=True):
    """How many of a content's products a reranker looked at, of how many that it should have.

    0 of 0: the first stage was sure. Fewer than should be: there was no more time, and the rest kept its order.
    """

    looked: int
    of: int


class Match(msgspec.Struct, frozen=True):
    """The products found for a content, best first; ``reranked`` is null where no reranker was at work."""

    content_id: str
    products: tuple[RankedProduct, ...] = ()
    no_match: NoMatch = NoMatch()
    reranked: Reranked | None = None


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation with a language model; ``images`` are JPEG or PNG files that stand before the text."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[bytes, ...] = ()


#: What a language model is asked: its turns, oldest first.
Conversation = tuple[Message, ...]


class GenerationSettings(msgspec.Struct, frozen=True):
    """How a language model writes. ``temperature`` 0 is greedy and deterministic; ``seed`` matters above 0."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


class Completion(msgspec.Struct, frozen=True):
    """What a language model wrote. ``truncated_prompt_tokens`` counts what was cut from the prompt (0: nothing)."""

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    new_tokens: int
    truncated_prompt_tokens: int = 0
