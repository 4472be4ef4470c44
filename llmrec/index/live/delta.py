"""What is written down when a live index changes: one entry of the journal for each product.

A product is known by its row: the products of the version have the first rows, each ``Put`` takes the next one, and a
row that is gone is never given again. So an entry says all that a reader needs, without looking for an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from llmrec.errors import ArtefactError
from llmrec.records import Product, ProductSummary


class Put(msgspec.Struct, frozen=True, tag="put", omit_defaults=True):
    """A product that takes the next row.

    Attributes:
        product: The product.
        replaces: The row whose place it takes, which is gone from then on; -1: none.
        summary: What a language model wrote about it.
        vectors: For each field its vector, little-endian float32.
        pictures: Vectors of its pictures.
        title: Vector of its title in the space of the pictures.
    """

    product: Product
    replaces: int = -1
    summary: ProductSummary | None = None
    vectors: dict[str, bytes] = {}
    pictures: tuple[bytes, ...] = ()
    title: bytes = b""


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """A row that is gone."""

    row: int


Change = Put | Drop

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Change)


def to_entries(changes: Iterable[Change]) -> list[bytes]:
    """Changes as entries of a journal."""
    return [_ENCODER.encode(change) for change in changes]


def from_entries(entries: Sequence[bytes], source: str) -> list[Change]:
    """Changes from entries of a journal.

    Raises:
        ArtefactError: One is no change; names ``source``.
    """
    try:
        return [_DECODER.decode(entry) for entry in entries]
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        step = "Build the index again, or compact it with the version of llmrec that wrote it."
        raise ArtefactError(f"{source}: holds what is no change of an index ({error})", next_step=step) from error
