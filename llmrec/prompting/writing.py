"""A checked answer back to the text that a model would have written: what fine-tuning learns from.

::

    write_summary(prompt, summary)
    # " cordless drill\\nAttributes: voltage = 18 V\\nHighlights: two-speed; LED work light\\nSummary: A two-speed …"
"""

from __future__ import annotations

from llmrec.prompting.prompt import Prompt
from llmrec.records import ProductSummary


def write_summary(prompt: Prompt, summary: ProductSummary) -> str:
    """The answer to ``prompt`` that parses to ``summary``, without the beginning that the prompt itself gives.

    Fields stand in the order in which the prompt declares them, each under its first label; what ``summary`` does not
    have is left out, but for the field whose label the prompt has already written.
    """
    values = {
        "headline": summary.headline,
        "summary": summary.summary,
        "highlights": "; ".join(_one_line(item) for item in summary.highlights),
        "attributes": "; ".join(
            f"{_one_line(name)} = {_one_line(value)}" for name, value in summary.attributes.items()
        ),
    }
    begun = prompt.prefix.strip().rstrip(":").casefold()
    lines = []
    for name, field in prompt.output.items():
        label = field.labels[0] if field.labels else name.capitalize()
        value = _one_line(values[name])
        if value or begun in {word.casefold() for word in field.labels}:
            lines.append(f"{label}: {value}".rstrip())
    text = "\n".join(lines)
    return text.removeprefix(prompt.prefix.strip()) if prompt.prefix else text


def plain_summary(headline: str, attributes: dict[str, str], highlights: tuple[str, ...], summary: str) -> str:
    """All that a summary says, without the labels: what is compared with a reference."""
    pairs = (f"{name} {value}" for name, value in attributes.items())
    return "\n".join(part for part in (headline, "; ".join(pairs), "; ".join(highlights), summary) if part)


def _one_line(text: str) -> str:
    return " ".join(text.split())
