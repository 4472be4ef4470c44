"""A model's answer to checked fields. Nothing raises: what could not be read is said in ``problems``.

SmolLM2-135M on a real product, and what is read from it::

    stainless steel toaster oven                  headline    stainless steel toaster oven
    Attributes: model = TOB195; recipe book       attributes  {"model": "TOB195"}
    Highlights: oven; oven timer; oven; oven t    highlights  ("oven", "oven timer")
                                                  problems    attributes: 1 parts without a value dropped …
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from llmrec.prompting.jsonish import first_object
from llmrec.prompting.lines import label_of, read_lines
from llmrec.prompting.schema import INTENT, JUDGEMENT, SUMMARY, Schema
from llmrec.prompting.values import as_list, as_map, as_text, printable

#: Characters of an answer that are looked at.
LONGEST = 16_000
#: Products that one answer may name.
INTENTS = 8
UNREADABLE = "unreadable: no field of the answer could be found"
_THINKING = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_CONTROL = re.compile(r"<\|[^<>|\n]{0,40}\|>|</s>|<end_of_turn>")
_YES = re.compile(r"\b(yes|true|match(?:es)?|same|ja|oui|sí|是|ใช่)\b|是|ใช่", re.IGNORECASE)
_NO = re.compile(r"\b(no|not|false|different|nein|non|doesn't|isn't)\b|不|ไม่", re.IGNORECASE)


_CLAUSE = re.compile(r"[,;，；、]\s|[，；、]")


class ParsedSummary(msgspec.Struct, frozen=True):
    """What was read of an answer to a summary prompt."""

    headline: str = ""
    summary: str = ""
    highlights: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    problems: tuple[str, ...] = ()


class ParsedIntent(msgspec.Struct, frozen=True):
    """What was read of an answer to an intent prompt."""

    product_type: str = ""
    brand: str = ""
    attributes: dict[str, str] = {}
    query: str = ""
    problems: tuple[str, ...] = ()


class ParsedJudgement(msgspec.Struct, frozen=True):
    """What was read of an answer to a judgement prompt; ``match`` is None when it was neither yes nor no."""

    match: bool | None = None
    reason: str = ""
    problems: tuple[str, ...] = ()


def parse_summary(text: str, schema: Schema = SUMMARY, *, prefix: str = "", cut: bool = False) -> ParsedSummary:
    """Read an answer to a summary prompt.

    Args:
        text: What the model wrote.
        schema: The prompt's output fields.
        prefix: What the prompt began the answer with; a model may have begun anew.
        cut: Whether the answer ran into the limit of tokens: its last item is then not whole.
    """
    values, problems, loose = _fields(text, schema, prefix, cut)
    if not values.get("summary") and loose:
        problems.append("summary: taken from text without a label")
        values["summary"] = as_text(" ".join(loose), schema["summary"], "summary", problems)
    return ParsedSummary(**values, problems=_closing(values, schema, problems))


def parse_intent(text: str, schema: Schema = INTENT, *, prefix: str = "", cut: bool = False) -> ParsedIntent:
    """Read an answer to an intent prompt; arguments as in ``parse_summary``."""
    values, problems, loose = _fields(text, schema, prefix, cut)
    for name in ("product_type", "brand"):
        # a kind or a maker is one name: "glass cleaner, magnetic glass cleaner, small one, link below"
        first = _CLAUSE.split(values.get(name, ""))[0].strip()
        if first != values.get(name, ""):
            problems.append(f"{name}: more than one name, the first kept")
        values[name] = first if any(map(str.isalpha, first)) else ""
    values = {name: value for name, value in values.items() if value}
    if not values.get("query") and loose:
        problems.append("query: taken from text without a label")
        values["query"] = as_text(loose[0], schema["query"], "query", problems)
    return ParsedIntent(**values, problems=_closing(values, schema, problems))


def parse_intents(
    text: str, schema: Schema = INTENT, *, prefix: str = "", cut: bool = False
) -> tuple[ParsedIntent, ...]:
    """Read an answer that may name several products: a JSON array, or blocks of labelled lines one after the other.

    Arguments as in ``parse_summary``.

    Returns:
        At least one; ``INTENTS`` at most, equal ones once.
    """
    blocks = _objects(text) or _blocks(f"{prefix} {text.lstrip()}" if not _begins_anew(text, schema) else text, schema)
    if len(blocks) < 2:
        return (parse_intent(text, schema, prefix=prefix, cut=cut),)
    last = len(blocks) - 1
    found: list[ParsedIntent] = []
    for number, block in enumerate(blocks[:INTENTS]):
        parsed = parse_intent(block, schema, cut=cut and number == last)
        if parsed not in found:
            found.append(parsed)
    return tuple(found)


def _objects(text: str) -> list[str]:
    """Each object of a JSON array of some, as JSON."""
    found = first_object(text[:LONGEST])
    value = found.value if found else None
    if isinstance(value, dict):  # {"products": […]}
        value = next((item for item in value.values() if isinstance(item, list)), None)
    return [json.dumps(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _blocks(text: str, schema: Schema) -> list[str]:
    """Labelled lines cut where the label that began a block comes again after others."""
    blocks: list[list[str]] = [[]]
    names: list[str] = []
    for line in text[:LONGEST].splitlines():
        name = _label(line, schema)
        if name is not None and names and name == names[0] and set(names) != {name}:
            blocks.append([])
            names = []
        names += [name] if name is not None else []
        blocks[-1].append(line)
    return ["\n".join(block) for block in blocks]


def parse_judgement(text: str, schema: Schema = JUDGEMENT, *, prefix: str = "", cut: bool = False) -> ParsedJudgement:
    """Read an answer to a judgement prompt; arguments as in ``parse_summary``."""
    values, problems, loose = _fields(text, schema, prefix, cut)
    said = values.pop("match", "") or (loose[0] if loose else "")
    yes, no = _YES.search(said), _NO.search(said)
    match = None
    if yes or no:
        # "no, not the same": what comes first counts
        match = bool(yes) and (no is None or (yes is not None and yes.start() < no.start()))
    else:
        problems.append("match: neither yes nor no")
    return ParsedJudgement(match=match, reason=values.get("reason", ""), problems=tuple(problems))


def _fields(text: str, schema: Schema, prefix: str, cut: bool) -> tuple[dict[str, Any], list[str], list[str]]:
    problems: list[str] = []
    if len(text) > LONGEST:
        problems.append(f"answer: longer than {LONGEST} characters, cut")
    text = printable(_CONTROL.sub("", _THINKING.sub("", text[:LONGEST].replace("\r\n", "\n").replace("\t", " "))))
    raw, loose, last = _from_json(text, schema), [], None
    if raw is None:
        begun = f"{prefix} {text.lstrip()}" if prefix and not _begins_anew(text, schema) else text
        lines = read_lines(begun, schema)
        raw, loose = dict(lines.fields), lines.loose
        last = lines.last if cut else None
        problems += [f"{name}: repeated line dropped" for name in schema if name in lines.repeated]
        if lines.unknown:
            problems.append(f"answer: {len(lines.unknown)} lines with unknown labels dropped")
    elif raw.pop("", None):
        problems.append("answer: JSON cut off")
        last = next(reversed(raw), None)
    values: dict[str, Any] = {}
    for name, declared in schema.items():
        if name not in raw:
            continue
        read = {"list": as_list, "map": as_map}.get(declared.type, as_text)
        value = read(raw[name], declared, name, problems, cut=name == last)
        if value:
            values[name] = value
    return values, problems, [line for line in loose if any(map(str.isalnum, line))]


def _from_json(text: str, schema: Schema) -> dict[str, Any] | None:
    """Fields of a JSON answer; the key ``""`` is set when it was cut off."""
    found = first_object(text)
    value = found.value if found else None
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    best: dict[str, Any] = {}
    # the answer may lie in an object of one key ({"product": {…}})
    for candidate in (value, *(value.values() if isinstance(value, dict) else ())):
        fields: dict[str, Any] = {}
        for key, item in candidate.items() if isinstance(candidate, dict) else ():
            if (name := label_of(key, schema)) is not None:
                fields.setdefault(name, item)
        if len(fields) > len(best):
            best = fields
    return (best | ({"": True} if found and not found.complete else {})) if best else None


def _begins_anew(text: str, schema: Schema) -> bool:
    return _label(text.strip().split("\n", 1)[0], schema) is not None


def _label(line: str, schema: Schema) -> str | None:
    """The field whose label a line begins with."""
    label = re.match(r"[\s*_#]*(?:[-•]\s|\d{1,2}[.)]\s)?[\s*_#]*([^\W\d_][\w ]{0,30}?)\**\s*[:：]", line)
    return label_of(label[1], schema) if label else None


def _closing(values: dict[str, Any], schema: Schema, problems: list[str]) -> tuple[str, ...]:
    if not values:
        return (UNREADABLE, *problems)
    missing = [f"{name}: missing" for name, declared in schema.items() if declared.required and name not in values]
    return (*problems, *missing)
