"""Queries and the products that are right for them, as an encoder learns from: the texts that an index will compare.

Rows of pairs (JSON Lines), each side a text or a record, or contents with their qrels and catalog::

    {"query": "blue gooseneck kettle", "positive": "Pellorin Verdo kettle 1 l, blue", "negatives": ["Pellorin mug"]}
    {"query": {"id": "v-1", "kind": "video", "caption": "…"}, "positive": {"id": "PKT-05", "title": "…"}}
    {"query": "blue gooseneck kettle", "product_id": "PKT-05"}            with data.products

A product is compared by its title and by the whole of it, as in the index; a query likewise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from llmrec.catalog import Catalog
from llmrec.errors import InputError
from llmrec.evaluate import read_qrels
from llmrec.index.texts import content_text, field_texts
from llmrec.recipes import Recipe
from llmrec.records import Content, Product
from llmrec.train.files import hold_out, rows, sample_path

logger = logging.getLogger(__name__)


class Item(NamedTuple):
    """A product as it is compared. Products of one ``group`` (variants of one model) are never each other's negatives.

    ``key`` is the product's id, or the text where that is all there is.
    """

    key: str
    title: str
    whole: str
    group: str


class RetrievalExample(NamedTuple):
    """A query and what is right for it.

    Attributes:
        id: The content's id, or file and line.
        title: Its short form, the whole where it has none.
        whole: All of it.
        grades: Key of every product that is known to match, to its grade; the highest are learned.
        negatives: Keys of products that are given as wrong.
        group: Examples that share products, directly or through others, have one; set by ``grouped``.
    """

    id: str
    title: str
    whole: str
    grades: dict[str, int]
    negatives: tuple[str, ...] = ()
    group: str = ""

    @property
    def positives(self) -> list[str]:
        """The products with the highest grade."""
        best = max(self.grades.values())
        return [key for key, grade in self.grades.items() if grade == best]


class Reader:
    """Reads the files of one recipe; ``items`` and ``products`` grow with every product record that is met."""

    def __init__(self, recipe: Recipe) -> None:
        data = recipe.data
        self.items: dict[str, Item] = {}
        self.products: dict[str, Product] = {}
        if data.products:
            for product in Catalog.read(sample_path(data.products)):
                self._add(product)
        self.catalog = list(self.items)
        self._qrels = read_qrels(sample_path(data.qrels)) if data.qrels else None

    def read(self, name: str) -> list[RetrievalExample]:
        """The examples of one file, in order.

        Raises:
            InputError: A row that cannot be used; names file and line.
        """
        path = sample_path(name)
        found, skipped = [], 0
        for number, row in rows(path, name):
            where = f"{name}, line {number}"
            example = self._pair(where, row) if self._qrels is None else self._judged(where, row)
            if example is None:
                skipped += 1
            else:
                found.append(example)
        if skipped:
            logger.warning("%s: %d contents without text or without a product in the qrels are left out", name, skipped)
        return found

    def _pair(self, where: str, row: dict[str, Any]) -> RetrievalExample:
        step = 'Give rows like {"query": "…", "positive": "…"}; for contents give data.qrels and data.products too.'
        if "query" not in row or ("positive" not in row and "product_id" not in row):
            raise InputError(f"{where}: has no query, or no positive", next_step=step)
        content = _record(row["query"], Content, where, "query")
        title, whole = (content, content) if isinstance(content, str) else _asked(content)
        if not whole:
            raise InputError(f"{where}: the query is empty", next_step=step)
        group = row.get("group")
        key = self._item(row, where, None if group is None else str(group))
        given = row.get("negatives") or []
        if not isinstance(given, list):
            raise InputError(f"{where}: negatives is not a list", next_step=step)
        negatives = tuple(self._item({"positive": negative}, where, None) for negative in given)
        name = content.id if isinstance(content, Content) else where
        return RetrievalExample(name, title, whole, {key: 1}, tuple(n for n in negatives if n != key))

    def _item(self, row: dict[str, Any], where: str, group: str | None) -> str:
        if "positive" not in row:
            return self._known(str(row["product_id"]), where)
        product = _record(row["positive"], Product, where, "product")
        if isinstance(product, Product):
            return self._add(product, group)
        if not product.strip():
            raise InputError(f"{where}: a product is empty", next_step="Give its text, or leave the row out.")
        self.items.setdefault(product, Item(product, product, product, group or product))
        return product

    def _judged(self, where: str, row: dict[str, Any]) -> RetrievalExample | None:
        assert self._qrels is not None
        content = _record(row, Content, where, "content")
        assert isinstance(content, Content)
        title, whole = _asked(content)
        grades = {key: grade for key, grade in self._qrels.get(content.id, {}).items() if grade > 0}
        if not whole or not grades:
            return None
        for key in grades:
            self._known(key, where)
        return RetrievalExample(content.id, title, whole, grades)

    def _known(self, key: str, where: str) -> str:
        if key not in self.items:
            step = "Give the catalog that has it as data.products."
            raise InputError(f"{where}: product {key!r} is in no catalog", next_step=step)
        return key

    def _add(self, product: Product, group: str | None = None) -> str:
        texts = field_texts(product, None, "product")
        named = group or product.extra.get("item_group_id") or product.id
        self.products.setdefault(product.id, product)
        item = self.items.setdefault(product.id, Item(product.id, texts["title"], texts["whole"], str(named)))
        return item.key


def grouped(examples: Sequence[RetrievalExample], items: dict[str, Item]) -> list[RetrievalExample]:
    """The examples with their groups: two that share a query or a product are in one, and so are those between.

    A split by these groups leaves no product, variant or query on both sides.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def names(example: RetrievalExample) -> Iterable[str]:
        yield f"query {example.whole}"
        for key in example.grades:
            yield f"product {key}"
            yield f"group {items[key].group}"

    for example in examples:
        first, *others = names(example)
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return [example._replace(group=root(f"query {example.whole}")) for example in examples]


def refuse_mixed(splits: Mapping[str, Sequence[RetrievalExample]], items: dict[str, Item]) -> None:
    """Refuse dev or test examples that share products, variants or queries with the training examples.

    Raises:
        InputError: They do; the first few are named.
    """

    def seen(example: RetrievalExample) -> set[str]:
        return {items[key].group for key in example.grades} | {f"query {example.whole}"}

    trained = set().union(*map(seen, splits["train"]))
    for name in ("dev", "test"):
        shared = sorted(set().union(*map(seen, splits[name])) & trained)
        if shared:
            some = ", ".join(text[:60] for text in shared[:3])
            step = "Split by product: what is measured must not have been learned by heart."
            raise InputError(f"data.{name}: {len(shared)} of its products are in data.train ({some} …)", next_step=step)


def _asked(content: Content) -> tuple[str, str]:
    whole = content_text(content)
    return content.title.strip() or whole, whole


def _record(value: Any, kind: Any, where: str, what: str) -> Any:
    """A text as it is, or a record from its object."""
    if isinstance(value, str) and what != "content":
        return value
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as error:
        step = f"Give a text, or a {kind.__name__} as docs/formats.md has it."
        raise InputError(f"{where}: no {what}: {error}", next_step=step) from error


def read_splits(recipe: Recipe) -> tuple[dict[str, list[RetrievalExample]], Reader]:
    """Training, dev and test examples of a recipe, with their groups, and the reader that knows their products.

    Raises:
        InputError: Rows that cannot be used, or products on more than one side.
    """
    data, reader = recipe.data, Reader(recipe)
    train = [e for name in data.train for e in reader.read(name)][: data.limit]
    dev = reader.read(data.dev) if data.dev else []
    test = reader.read(data.test) if data.test else []
    train = grouped(train, reader.items)
    if not data.dev and data.dev_share:
        train, dev = hold_out(train, data.dev_share, lambda e: e.group, seed=recipe.training.seed)
    if len(train) < 2:
        step = "Give more examples, a lower data.dev_share, or a data.dev of its own."
        raise InputError(f"data.train: {len(train)} examples are left to learn from", next_step=step)
    splits = {"train": train, "dev": dev, "test": test}
    refuse_mixed(splits, reader.items)
    return splits, reader
