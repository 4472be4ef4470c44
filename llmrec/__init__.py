"""llmrec: from a short video, a livestream or a search query to the products it is about.

::

    import llmrec
    encoder = llmrec.load_encoder("starter:minilm")
    index = llmrec.Index.build("shop.index", llmrec.Catalog.read("products.csv"), encoder)
    for match in llmrec.Matcher(index).match([llmrec.Content("q", "search", title="blue enamel mug")]):
        print(match.products[0])

The names below are loaded when they are first used, so that ``import llmrec`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Catalog": "llmrec.catalog",
    "Content": "llmrec.records",
    "Index": "llmrec.index",
    "LlmrecError": "llmrec.errors",
    "Match": "llmrec.records",
    "Matcher": "llmrec.match",
    "Product": "llmrec.records",
    "ProductSummary": "llmrec.records",
    "Query": "llmrec.records",
    "Summarizer": "llmrec.summarize",
    "TimedText": "llmrec.records",
    "evaluate_matches": "llmrec.evaluate",
    "finetune": "llmrec.train",
    "load_encoder": "llmrec.embed",
    "load_generator": "llmrec.llm",
    "load_recipe": "llmrec.recipes",
    "open_index": "llmrec.match",
    "watch": "llmrec.video",
}

if TYPE_CHECKING:
    from llmrec.catalog import Catalog as Catalog
    from llmrec.embed import load_encoder as load_encoder
    from llmrec.errors import LlmrecError as LlmrecError
    from llmrec.evaluate import evaluate_matches as evaluate_matches
    from llmrec.index import Index as Index
    from llmrec.llm import load_generator as load_generator
    from llmrec.match import Matcher as Matcher
    from llmrec.match import open_index as open_index
    from llmrec.recipes import load_recipe as load_recipe
    from llmrec.records import Content as Content
    from llmrec.records import Match as Match
    from llmrec.records import Product as Product
    from llmrec.records import ProductSummary as ProductSummary
    from llmrec.records import Query as Query
    from llmrec.records import TimedText as TimedText
    from llmrec.summarize import Summarizer as Summarizer
    from llmrec.train import finetune as finetune
    from llmrec.video import watch as watch

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'llmrec' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
