"""A product of the catalog as another shop, or a seller in a live, would list it.

::

    {"title": "Clackmoor Tern 75 mechanical keyboard, brown tactile switches, German ISO layout", "color": "cream", …}
    {"title": "mechanical keyboards tern-75 brown tactile switches german iso layout creme", "price": 110.99}

The brand is left out or moved, units and model numbers are written otherwise, words are shortened, exchanged for others
or misspelt, segments change places, a shop adds its own words. What tells a variant from its siblings is always said:
without it nobody could tell whether two offers are one product.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from llmrec.prompting.spans import FILLERS, forms

WORDS: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"))
# what one unit is in another that shops use for it
_OTHERWISE = {
    "ml": ((0.001, "L"), (0.1, "cl")),
    "l": ((1000, "ml"), (1, "Litre")),
    "g": ((0.001, "kg"), (1, "gr")),
    "kg": ((1000, "g"), (1, "kilo")),
    "cm": ((10, "mm"),),
    "m": ((100, "cm"), (1, "metres")),
    "W": ((1, "watt"),),
    "h": ((1, "hrs"),),
}
_MEASURE = re.compile(r"(?<![\w.,])(\d+(?:[.,]\d+)?)\s?(ml|mAh|mm|cm|kg|l|g|m|W|V|h)(?![\w/²])")
_SIDES = re.compile(r"(?<=\d) x (?=\d)")
_PACK = re.compile(r"\b(\d+)-pack\b|\bset of (\d+)\b|\b(\d+) (?:pieces|pcs)\b")
_SEGMENTS = re.compile(r"\s*(?:,\s|\s[–·-]\s|[()，、،]|:\s)\s*")
_ARABIC = str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789")


def listing(product: Mapping[str, Any], headline: str, cells: Mapping[str, str], chance: random.Random) -> dict:
    """List a product elsewhere.

    Args:
        product: In wire form.
        headline: What it is in a few words, from its gold summary.
        cells: The variant's own values, ``brand`` among them.
        chance: Decides all that is left open.

    Returns:
        Fields of an offer: a title, mostly a price, now and then a brand or a description.
    """
    brand = cells["brand"]
    text = headline if chance.random() < 0.4 else product["title"]
    text = " ".join(text.replace(brand, " ").split()).strip(" –-·,") if brand else text
    for name, value in cells.items():
        unspaced = not value.isascii() and value in text
        if name not in ("price", "brand") and not unspaced and forms([value]) - forms([text]) - FILLERS:
            text += f", {value}"
    text = _model(text, cells.get("model", ""), chance)
    text = _order(text, chance)
    text = _units(text, chance)
    for kind, share in (("synonyms", 0.45), ("short", 0.35), ("colours", 0.3)):
        text = _exchanged(text, WORDS[kind], share, chance)
    text = _misspelt(text, chance) if chance.random() < 0.25 else text
    text, field = _branded(text, brand, chance)
    draw = chance.random()
    text = text.lower() if draw < 0.3 else text.upper() if draw < 0.36 else text
    if chance.random() < 0.3:
        text = f"{chance.choice(WORDS['before'])} {text}"
    if chance.random() < 0.25:
        text = f"{text} {chance.choice(WORDS['after'])}"
    offer: dict[str, Any] = {"title": " ".join(text.split())}
    if field:
        offer["brand"] = field
    if chance.random() < 0.65:
        offer["price"] = _price(product["price"]["amount"], chance)
    if product.get("description") and chance.random() < 0.12:
        offer["description"] = product["description"].split(". ")[0].split("\n")[0][:90]
    return offer


def _order(text: str, chance: random.Random) -> str:
    parts = [part for part in _SEGMENTS.split(text) if part.strip()]
    if len(parts) > 2 and chance.random() < 0.5:
        rest = parts[1:]
        chance.shuffle(rest)
        parts = [parts[0], *rest]
    return chance.choice([" ", " ", ", ", " - ", " | "]).join(parts)


def _model(text: str, model: str, chance: random.Random) -> str:
    """ "Drift 3" as Drift-3 or Drift3, "W18" as W-18."""
    draw = chance.random()
    if not model or draw > 0.5 or model not in text:
        return text
    sign = "-" if draw < 0.25 else ""
    joined = re.sub(r"(?<=[A-Za-z]) (?=\d)", sign, model)
    joined = re.sub(r"(?<=[A-Z])(?=\d)", "-", model) if joined == model else joined
    return text.replace(model, joined)


def _units(text: str, chance: random.Random) -> str:
    def measure(match: re.Match[str]) -> str:
        draw, unit = chance.random(), match[2]
        amount = float(match[1].replace(",", "."))
        single = not text[: match.start()].rstrip().endswith(" x")
        if draw < 0.35 and single and unit in _OTHERWISE:
            factor, other = chance.choice(_OTHERWISE[unit])
            return f"{amount * factor:.6g}{chance.choice(['', ' '])}{other}"
        return f"{amount:.6g}{unit}" if draw < 0.75 else match[0]

    def pack(match: re.Match[str]) -> str:
        count = next(number for number in match.groups() if number)
        return chance.choice([f"{count} pcs", f"pack of {count}", f"{count}pk", f"x{count}", match[0]])

    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = _PACK.sub(pack, _MEASURE.sub(measure, text))
    text = _SIDES.sub("x", text) if chance.random() < 0.6 else text
    if chance.random() < 0.5:
        text = text.translate(_ARABIC)
    return re.sub(r"\bEU (?=\d)", chance.choice(["EU ", "EUR ", "size ", "sz "]), text)


def _exchanged(text: str, words: Mapping[str, list[str]], share: float, chance: random.Random) -> str:
    for word, others in words.items():
        # 保温杯 stands within a run of letters, but 白色 is no colour of 奶白色
        before = r"(?<!\w)" if word.isascii() else r"(?<![^\W\d_])" if words is WORDS["colours"] else ""
        bounded = before + re.escape(word) + (r"(?!\w)" if word.isascii() else "")
        if re.search(bounded, text, re.IGNORECASE) and chance.random() < share:
            other = chance.choice(others)
            text = re.sub(bounded, lambda _, other=other: other, text, count=1, flags=re.IGNORECASE)
    return text


def _misspelt(text: str, chance: random.Random) -> str:
    """One of the longer words with a letter left out, doubled or changed about with the next."""
    found = list(re.finditer(r"[A-Za-zäöüéè]{6,}", text))
    if not found:
        return text
    match = chance.choice(found)
    word, at = match[0], chance.randrange(1, len(match[0]) - 2)
    wrong = chance.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + word[at] * 2 + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )
    return text[: match.start()] + wrong + text[match.end() :]


def _branded(text: str, brand: str, chance: random.Random) -> tuple[str, str]:
    """The title with the brand before, after or without it, and the field of the brand."""
    if not brand:
        return text, ""
    draw = chance.random()
    field = brand if chance.random() < 0.25 else ""
    if draw < 0.5:
        return f"{brand} {text}", field
    if draw < 0.7:
        return f"{text} {chance.choice(['', 'by ', '- ', '/ '])}{brand}", field
    return text, brand if draw < 0.85 else field


def _price(amount: float, chance: random.Random) -> float:
    """The other shop's: mostly within a tenth of the catalog's, in a currency of its own only where that has one."""
    other = amount * chance.choice([1, 1, 0.95, 0.9, 1.05, 1.1, 0.8])
    return round(other) - 0.01 if amount < 1000 and chance.random() < 0.5 else round(other, 2)
