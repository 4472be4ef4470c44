"""The template language: Jinja2 in its sandbox, where untrusted values stand inside a fence or not at all.

::

    {% filter data %}{{ title }}
    {% for name, value in attributes %}{{ name }}: {{ value }}
    {% endfor %}{% endfilter %}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmrec.prompting.untrusted import FENCE, fence


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters[FENCE] = fence
    return environment


def compile_template(text: str) -> Template:
    """A template ready to render."""
    return _environment().from_string(text)


def template_faults(texts: Iterable[str], *, declared: set[str], trusted: set[str]) -> list[str]:
    """What is wrong with the templates of a prompt.

    Args:
        texts: The templates.
        declared: Names of all declared variables.
        trusted: Those that may stand outside the fence.
    """
    faults: list[str] = []
    used: set[str] = set()
    for number, text in enumerate(texts, 1):
        try:
            tree = _environment().parse(text)
            _environment().from_string(text)
        except TemplateError as error:
            faults.append(f"message {number}: {error}")
            continue
        used |= meta.find_undeclared_variables(tree)
        if list(tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))):
            faults.append(f"message {number}: a prompt is one file: it imports and includes nothing")
        for name in sorted(set(_unfenced(tree)) - trusted):
            faults.append(f"message {number}: {name!r} stands outside {{% filter {FENCE} %}} … {{% endfilter %}}")
    faults += [f"variable {name!r} is used but not declared" for name in sorted(used - declared)]
    faults += [f"variable {name!r} is declared but not used" for name in sorted(declared - used)]
    return faults


def _unfenced(node: nodes.Node) -> Iterator[str]:
    """Names whose values are written outside a fence."""
    if isinstance(node, nodes.FilterBlock) and node.filter.name == FENCE:
        return
    if isinstance(node, nodes.Output):
        yield from (name.name for name in node.find_all(nodes.Name))
    for child in node.iter_child_nodes():
        yield from _unfenced(child)
