"""Write the sample's gold summaries and preferences: ``python examples/make/summaries.py``.

What an editor would say of a family is written by hand in ``summaries/*.yaml``; each of its products fills it::

    code: NBN
    headline: "nappies size {size}, {Weight}, {Pack}"     # slots are the cells of the family's rows, and {brand}
    highlights: [wetness stripe, chlorine-free fluff]     # kept where the product says so
    stated: {battery: [36 h, 20 h]}                       # attributes that stand only in the description: the first
    summary: "{brand} nappies in size {size}[, with a wetness stripe]."
    odd: {NBN-05: {summary: "..."}}                       # a product that is no variant has its own

``[a part]`` falls away when one of its slots is empty or one of its words does not stand in the product, and
``[a part|anchor]`` when the anchor does not. So an empty description makes a short summary, and nothing is said that
the product does not say. Preferences set each gold beside a version with one fault (``faults.py``).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from faults import spoil

from llmrec.catalog import Catalog
from llmrec.prompting.spans import FILLERS, forms
from llmrec.records import Product

HERE = Path(__file__).parent
CATALOG = HERE.parent / "catalog.csv"
# families of most departments, and one of every language that has two
TEST = {"NBM", "QMI", "BVM", "TPK", "DFS", "MKT", "FDL", "PWJ", "WKL", "IGD", "IWM", "HGS"}
TEST |= {"NKB", "MPC", "CTM", "HKB", "YQL", "SHC", "CMP"}
DEV = {"SBX", "BSB", "QMN", "WFK", "CLP", "OLG", "PCT", "GPF", "WFS", "AYM", "GLB", "LTG", "BRW"}
_SLOT = re.compile(r"\{([^}]+)\}")
_PART = re.compile(r"\[([^\[\]|]*)(?:\|([^\[\]]*))?\]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent, help="folder of the files")
    arguments = parser.parse_args()
    rows = list(summaries())
    for split in ("train", "dev", "test"):
        chosen = [row for row in rows if split_of(row["group"]) == split]
        write(arguments.output / f"summaries-{split}.jsonl", chosen)
        if split != "test":
            write(arguments.output / f"preferences-{split}.jsonl", preferences(chosen))


def split_of(code: str) -> str:
    """The split of a family: variants of one never lie on both sides."""
    return "test" if code in TEST else "dev" if code in DEV else "train"


def summaries() -> Iterator[dict[str, Any]]:
    """One row for every product of the catalog, in its order."""
    families = {family["code"]: family for family in _yaml("families")}
    texts = {entry["code"]: entry for entry in _yaml("summaries")}
    for product in sorted_products():
        code = product.id[:3]
        entry = {**texts[code], **texts[code].get("odd", {}).get(product.id, {})}
        summary = _summary(product, cells(families[code], product), entry)
        yield {"id": product.id, "group": code, "product": wire(product), "summary": summary}


def sorted_products() -> list[Product]:
    """The products of the catalog as they are imported, by id."""
    return sorted(Catalog.read(CATALOG), key=lambda product: product.id)


def cells(family: dict[str, Any], product: Product) -> dict[str, str]:
    """What the slots are filled with: the variant's row of its family, as far as the product says it."""
    row = dict(zip(family["vary"], family["rows"][int(product.id[4:]) - 1], strict=True))
    found = {name: _plain(str(cell)) for name, cell in row.items()}
    found["material"] = product.attributes.get("material", "")
    found["color"] = found.get("color", "").lower()
    said = family["brand"] in f"{product.brand} {product.title}"
    return found | {"brand": family["brand"] if said else ""}


def wire(product: Product) -> dict[str, Any]:
    """A product as a row of the files: without its link and what a summary has no use for."""
    return msgspec.to_builtins(msgspec.structs.replace(product, url="", extra={}))


def preferences(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Golds beside a spoilt version of themselves: two of three where there are many, else all."""
    rows = list(rows)
    for place, row in enumerate(rows):
        if len(rows) > 100 and place % 3 == 2:
            continue
        siblings = [other for other in rows if other["group"] == row["group"] and other is not row]
        rejected = spoil(row, siblings, place)
        yield {**{key: row[key] for key in ("id", "group", "product")}, "chosen": row["summary"], "rejected": rejected}


def _summary(product: Product, values: dict[str, str], entry: dict[str, Any]) -> dict[str, Any]:
    source = " ".join([product.title, product.brand, product.description, *product.attributes.values()])
    stated = {name: _first(product.description, found) for name, found in entry.get("stated", {}).items()}
    given = {"brand": product.brand} | {name.lower(): value for name, value in product.attributes.items()}
    attributes = {name: _plain(value) for name, value in (given | stated).items() if value}
    parts = (fill(f"[{item}]", values, source) for item in entry["highlights"])
    return {
        "headline": fill(entry["headline"], values, source),
        "attributes": dict(list(attributes.items())[:8]),
        "highlights": [part.rstrip(".") for part in parts if part][:4],
        "summary": _sentence(fill(entry["summary"], values, source)),
    }


def fill(pattern: str, values: dict[str, str], source: str) -> str:
    """Fill the slots of a pattern; parts that the source does not bear out fall away."""

    def part(match: re.Match[str]) -> str:
        text, anchor = match[1], match[2]
        if not all(values[slot] for slot in _SLOT.findall(text)):
            return ""
        said = anchor.casefold() in source.casefold() if anchor else _borne_out(_SLOT.sub(" ", text), source)
        return text if said else ""

    # a highlight's own commas and bars are not parts of parts: patterns do not nest
    text = _SLOT.sub(lambda slot: values[slot[1]], _PART.sub(part, pattern))
    for old, new in ((r"\s+", " "), (r" ([,.;:])", r"\1"), (r",(?=[,.:;])", ""), (r"[:;,](?=\.$)", "")):
        text = re.sub(old, new, text)
    return text.strip()


def write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """One object a line, without spaces that say nothing."""
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    print(f"{path}: {len(lines)} rows")


def _plain(cell: str) -> str:
    """A cell without the marks that only a title wants: tomato 'Black Plum' to tomato Black Plum."""
    return re.sub(r"(?<!\w)'([^']+)'(?!\w)", r"\1", cell).strip(" .,:;")


def _borne_out(text: str, source: str) -> bool:
    return forms([text]) - FILLERS <= forms([source])


def _first(description: str, wanted: list[str]) -> str:
    """The first of the values that stands in a description, not as a part of a longer number or word."""
    bounded = (value for value in wanted if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", description))
    return next(bounded, "")


def _sentence(text: str) -> str:
    text = text.removeprefix(",").strip()
    return text[:1].upper() + text[1:]


def _yaml(folder: str) -> Iterator[dict[str, Any]]:
    for path in sorted((HERE / folder).glob("*.yaml")):
        yield from yaml.safe_load(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
