"""Labelled lines as models write them: bold, bulleted, numbered, with labels of their own, or none at all.

::

    Sure, here it is:
    **Type:** trail shoe
    - Attributes:
      * colour: blue
    A light shoe for trails.

    -> {"headline": "trail shoe", "attributes": "colour: blue"}, loose: "A light shoe for trails."
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llmrec.prompting.schema import Schema

_BULLET = re.compile(r"^\s*(?:[-*•–·>#]+|\d{1,2}[.)])\s+")
_LABEL = re.compile(r"^[\s*_#`\"']*([^\W\d_][\w ]{0,30}?)[\s*_`\"']*[:：=][\s*_`\"']*(.*)$")


@dataclass
class Lines:
    """What was found: the text of each field (its lines joined by line breaks), and all else."""

    fields: dict[str, str] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    repeated: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    #: The field that the text ends in.
    last: str | None = None


def label_of(name: str, schema: Schema) -> str | None:
    """The field that a label or key names, if any."""
    wanted = _plain(name)
    for field_name, declared in schema.items():
        if wanted in {_plain(field_name), *map(_plain, declared.labels)}:
            return field_name
    return None


def read_lines(text: str, schema: Schema) -> Lines:
    """Read labelled lines; the first value of a label counts."""
    out = Lines()
    current: str | None = None
    block = False  # the label stood alone, its values are on the lines after it
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("```"):
            continue
        bullet = _BULLET.match(raw)
        body = raw[bullet.end() :].strip() if bullet else line
        match = _LABEL.match(body)
        name = label_of(match[1], schema) if match else None
        if name is not None and match is not None:
            value = match[2].strip().rstrip("*_")
            if name in out.fields:
                out.repeated.add(name)
                current = None
            else:
                out.fields[name] = value
                current, block = name, not value
        elif current is not None and _continues(schema[current].type, bool(bullet), bool(match), block):
            out.fields[current] = f"{out.fields[current]}\n{body}".strip()
            # a text is one line; a list may go on
            block = block and schema[current].type != "text"
        elif match and not bullet and match[2].strip():
            out.unknown.append(match[1].strip())
            current = None
        elif not line.endswith(":"):  # "Here is the summary:"
            out.loose.append(body.strip("*_` "))
            if not bullet:
                current = None
    out.last = current
    return out


def _continues(type: str, bullet: bool, labelled: bool, block: bool) -> bool:
    """Whether a line without a label of ours belongs to the field before it."""
    if type == "text":
        return block and not labelled
    return bullet or (block and (type == "map") == labelled)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
