"""Which column is which field of a product: by usual names, or as ``--map title=product_name`` says.

``"Variant Price"``, ``"g:price"``, ``"price (EUR)"`` and ``"Preis"`` are all ``price``. Of several columns for one
field the more usual name wins and the others are kept in ``extra``, except images, which add up.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmrec.catalog.names import ATTRIBUTES, CURRENCIES, OFFERS, PLURAL, USUAL
from llmrec.errors import InputError

FIELDS = tuple(USUAL)
_RANK = {name: (field, rank) for field, names in USUAL.items() for rank, name in enumerate(names)}
_NOTE = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
_JOINTS = re.compile(r"[\s_\-./]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUMBERED_IMAGE = re.compile(
    r"(?:additional_|extra_|other_)?(?:image|img|picture|photo|bild)(?:_(?:url|src|link))?_?\d+"
)
_CURRENCY = re.compile(r"(?:[(\[]|[_ ])([A-Za-z]{3})[)\]]?\s*$")
_ATTRIBUTE = re.compile(r"^(?:attributes?|attr|spec|特性)\s*[:._]\s*(.+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the values of a row go: positions of its columns, -1 for a field that the row has not."""

    columns: tuple[str, ...]
    id: int
    title: int
    description: int
    brand: int
    category: int
    price: int
    currency: int
    offers: int
    header_currency: str
    url: int
    language: int
    attributes: int
    extra_column: int
    images: tuple[int, ...]
    several_categories: bool
    named_attributes: tuple[tuple[str, int], ...]
    extra: tuple[tuple[str, int], ...]
    chosen: tuple[tuple[str, str], ...]
    contested: bool

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The columns that no field was found for; their values go to ``extra``."""
        return tuple(name for name, _ in self.extra)


def normal(column: str) -> str:
    """A column's name in the spelling of the tables above: ``"g:Product-Title (de)"`` is ``"product_title"``."""
    name = _NOTE.sub("", column.strip().removeprefix("g:")) or column
    return _JOINTS.sub("_", _CAMEL.sub("_", name)).strip("_").lower()


def known(column: str) -> str | None:
    """The field that a column has by its usual name, if any."""
    found = _usual(normal(column))
    return found[0] if found else None


def _usual(name: str) -> tuple[str, int] | None:
    if found := _RANK.get(name) or _RANK.get(name.replace("_", "")):
        return found
    return ("images", len(USUAL["images"])) if _NUMBERED_IMAGE.fullmatch(name) else None


def plan_for(columns: Sequence[str], mapping: Mapping[str, Sequence[str]]) -> Plan:
    """Lay out a row of these columns; a mapped column that the row has not is left out (see ``missing_columns``)."""
    taken: dict[str, list[int]] = {}
    attributes: list[tuple[str, int]] = []
    used: set[int] = set()
    for field, wanted in mapping.items():
        found = [place for name in wanted if (place := locate(columns, name)) is not None]
        used.update(found)
        if field.startswith("attributes."):
            attributes += [(field.removeprefix("attributes."), place) for place in found]
        elif found:
            taken[field] = found
    ranked: dict[str, list[tuple[int, int]]] = {}
    for place, column in enumerate(columns):
        if place in used:
            continue
        name = normal(column)
        if (hit := _usual(name)) and hit[0] not in mapping:
            ranked.setdefault(hit[0], []).append((hit[1], place))
        elif match := _ATTRIBUTE.match(column.strip()):
            attributes.append((match[1].strip(), place))
            used.add(place)
        elif name in ATTRIBUTES:
            attributes.append((column.strip(), place))
            used.add(place)
    for field, hits in ranked.items():
        places = [place for _, place in sorted(hits)]
        taken[field] = places if field == "images" else places[:1]
        used.update(taken[field])
    contested = any(len(hits) > 1 for field, hits in ranked.items() if field != "images")
    one = {field: places[0] for field, places in taken.items()}
    code = _CURRENCY.search(columns[one["price"]]) if "price" in one else None
    return Plan(
        columns=tuple(columns),
        **{name: one.get(name, -1) for name in FIELDS if name not in ("images", "extra")},  # type: ignore[arg-type]
        offers=next((place for place, column in enumerate(columns) if normal(column) in OFFERS), -1),
        header_currency=code[1].upper() if code and code[1].lower() in CURRENCIES else "",
        extra_column=one.get("extra", -1),
        images=tuple(taken.get("images", ())),
        several_categories="category" in one and normal(columns[one["category"]]) in PLURAL,
        named_attributes=tuple(attributes),
        extra=tuple((column, place) for place, column in enumerate(columns) if place not in used),
        chosen=tuple((field, columns[place]) for field, places in taken.items() for place in places)
        + tuple((f"attributes.{name}", columns[place]) for name, place in attributes),
        contested=contested,
    )


def unique_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Names of columns from a header: none empty, none twice (``price``, ``price.2``)."""
    names: dict[str, None] = {}
    for place, cell in enumerate(cells, 1):
        name = base = cell.strip().strip("\ufeff") or f"column {place}"
        again = 1
        while name in names:
            again += 1
            name = f"{base}.{again}"
        names[name] = None
    return tuple(names)


def locate(columns: Sequence[str], name: str) -> int | None:
    """Position of a column by its exact name, else by the same name in another spelling."""
    if name in columns:
        return list(columns).index(name)
    return next((place for place, column in enumerate(columns) if normal(column) == normal(name)), None)


def missing_columns(file: str, columns: Sequence[str], mapping: Mapping[str, Sequence[str]]) -> None:
    """Refuse a mapping to columns that the file has not.

    Raises:
        InputError: Names the nearest columns.
    """
    for field, wanted in mapping.items():
        for name in wanted:
            if locate(columns, name) is None:
                near = difflib.get_close_matches(name, columns, n=3, cutoff=0.4)
                hint = f"nearest: {', '.join(near)}" if near else f"columns: {shown(columns)}"
                step = f"Correct '--map {field}={name}' ({hint})."
                raise InputError(f"{file}: has no column {name!r}", next_step=step)


def read_mapping(mapping: Mapping[str, str | Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """Check the fields of a mapping from field to column (or columns, for images).

    Raises:
        InputError: A field that products have not.
    """
    checked: dict[str, tuple[str, ...]] = {}
    for field, columns in (mapping or {}).items():
        name = {"image": "images", "category_path": "category", "attribute": "attributes"}.get(field, field)
        name = re.sub(r"^attributes?[.:]", "attributes.", name)
        if name not in FIELDS and not (name.startswith("attributes.") and len(name) > len("attributes.")):
            step = f"Map one of {', '.join(FIELDS)} or attributes.NAME, as in '--map title=product_name'."
            raise InputError(f"a product has no field {field!r}", next_step=step)
        checked[name] = (columns,) if isinstance(columns, str) else tuple(columns)
    return checked


def shown(columns: Sequence[str], limit: int = 20) -> str:
    """Column names for a message."""
    names = [column if len(column) <= 40 else column[:40] + "…" for column in columns[:limit]]
    return ", ".join(names) + (f" and {len(columns) - limit} more" if len(columns) > limit else "")
