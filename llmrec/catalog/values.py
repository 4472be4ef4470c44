"""Cells to the values of a product: category paths, attributes, image lists, plain text.

``"Home > Kitchen > Kettles"`` is a path of three, ``"TV/Audio"`` one name; ``"Colour: red; Size: 42"`` two attributes.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from llmrec.catalog.rejects import empty
from llmrec.catalog.text import NULLS, clean_line

_ARROWS = re.compile(r"\s*(?:>{1,3}|›|»|→|➜)\s*")
_SPACED_SLASH = re.compile(r"\s+/\s+")
_SEVERAL = re.compile(r"\s*[,;|]\s*")
_URL_SPLIT = re.compile(r"[\s,;|]+(?=https?://|/)")
_PAIRS = re.compile(r"\s*[;|\n]\s*")
#: Nesting that is followed in JSON values; deeper ones are kept as text.
_DEPTH = 32


def text_of(value: Any) -> str:
    """Any cell as text: lists by lines, objects as JSON, whole floats without ".0", nulls as ""."""
    if isinstance(value, str):
        return "" if value in NULLS else value
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list | tuple):
        return "\n".join(filter(None, map(text_of, value)))
    if isinstance(value, dict):
        if len(value) == 1 and "$oid" in value:
            return text_of(value["$oid"])
        return json.dumps(plain(value), ensure_ascii=False)
    return str(value)


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """A value that JSON and Parquet hold exactly: no NaN, no bytes, no integers beyond 64 bits, names as text."""
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == 0:
        return str(value)[:10_000]
    if isinstance(value, dict):
        return {str(name): plain(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def category_paths(value: Any, *, several: bool = False) -> tuple[tuple[str, ...], ...]:
    """The paths from the widest category to the narrowest, at most one but for plural columns.

    Args:
        value: ``"A > B"``, ``"A | B"``, ``"A / B"``, ``"/A/B"``, a list of names, or a list of paths.
        several: Whether the column's name is a plural (``categories``): then ``"A,B"`` and ``"A;B"`` are a path too,
            and ``"A > B, A > C"`` is two.
    """
    if isinstance(value, str):
        value = listed(value)
    if isinstance(value, list | tuple) and not (value and isinstance(value[0], list | tuple)):
        if len(value) == 1:
            return category_paths(name_of(value[0]), several=several)
        value = [value]
    if isinstance(value, list | tuple):
        lists = [item if isinstance(item, list | tuple) else [item] for item in value]
        paths = [tuple(filter(None, (clean_line(name_of(item)) for item in names))) for names in lists]
    else:
        text = clean_line(name_of(value))
        parts = _SEVERAL.split(text) if several and ">" in text else [text]
        paths = [_path(part, several) for part in (parts if all(">" in part for part in parts) else [text])]
    return tuple(path for path in paths if path)


def _path(text: str, several: bool) -> tuple[str, ...]:
    if _ARROWS.search(text):
        parts = _ARROWS.split(text)
    elif "|" in text:
        parts = text.split("|")
    elif " / " in text:
        parts = _SPACED_SLASH.split(text)
    elif text.startswith("/") and not text.startswith("//"):
        parts = text.split("/")
    elif several and ";" in text:
        parts = text.split(";")
    elif several and "," in text and ", " not in text:
        parts = text.split(",")
    else:
        parts = [text]
    return tuple(part.strip() for part in parts if part.strip())


def attributes_of(value: Any) -> dict[str, str] | None:
    """Names and values of ``{"colour": "red"}``, ``[{"name": …, "value": …}]``, ``"colour: red; size: 42"``.

    Returns:
        None when the cell holds something else, which is then kept in ``extra``.
    """
    if isinstance(value, str):
        if not value.strip() or value in NULLS:
            return {}
        value = listed(value)
    if isinstance(value, str):
        pairs = [part.partition(":") for part in _PAIRS.split(value.strip()) if part]
        if not all(colon and name.strip() for name, colon, _ in pairs):
            pairs = [part.partition("=") for part in _PAIRS.split(value.strip()) if part]
        if not all(mark and name.strip() for name, mark, _ in pairs):
            return None
        return _cleaned((name, text) for name, _, text in pairs)
    if isinstance(value, dict):
        return _cleaned(value.items())
    if isinstance(value, list | tuple):
        found = []
        for item in value:
            if isinstance(item, dict) and "name" in item and "value" in item:
                found.append((item["name"], item["value"]))
            elif isinstance(item, list | tuple) and len(item) == 2:
                found.append((item[0], item[1]))
            else:
                return None
        return _cleaned(found)
    return {} if value is None or value != value else None


def image_list(value: Any) -> tuple[str, ...]:
    """Addresses or paths of images: one, several in a text, a list, or a list of objects with ``src`` or ``url``."""
    if isinstance(value, str):
        value = listed(value)
    if isinstance(value, str):
        text = "" if value in NULLS else value.strip()
        return tuple(part for part in _URL_SPLIT.split(text) if part) if "http" in text else (text,) if text else ()
    if isinstance(value, dict):
        names = ("src", "url", "path", "link", "href", "hi_res", "large", "original", "thumb")
        found = next((value[name] for name in names if value.get(name)), ())
        value = [found] if isinstance(found, str) else found
    if isinstance(value, list | tuple):
        return tuple(
            image for item in value for image in ((item,) if isinstance(item, str) else image_list(item)) if image
        )
    return ()


def listed(text: str) -> Any:
    """The list or object that a cell holds as JSON (``'["a","b"]'``), else the text itself."""
    start = text.lstrip()[:1]
    if start == "[" or start == "{":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(value, list | dict):
            return value
    return text


def name_of(item: Any) -> str:
    """A cell that names something, as text; of an object (schema.org's ``{"@type": "Brand", "name": …}``) its name."""
    if isinstance(item, dict):
        item = next((item[name] for name in ("name", "title", "label", "@value", "value") if item.get(name)), item)
    return text_of(item)


def first_price(value: Any) -> Any:
    """The first price among the offers or variants of a product, None when there is none."""
    value = listed(value) if isinstance(value, str) else value
    for offer in value if isinstance(value, list | tuple) else [value]:
        if isinstance(offer, dict) and not empty(price := offer.get("price", offer.get("lowPrice"))):
            return {"amount": price, "currency": offer.get("priceCurrency", offer.get("currency", ""))}
    return None


def _cleaned(pairs: Any) -> dict[str, str]:
    cleaned: dict[str, str] = {}
    for name, value in pairs:
        name = clean_line(text_of(name))
        text = clean_line(", ".join(map(text_of, value)) if isinstance(value, list | tuple) else text_of(value))
        if name and text:
            cleaned[name] = f"{cleaned[name]}, {text}" if name in cleaned else text
    return cleaned
