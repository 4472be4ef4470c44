"""Prompt files: what they declare is checked, and every fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec.errors import InputError
from llmrec.prompting import load_prompt
from llmrec.records import Message

GOOD = """
name: tell
version: "3"
task: summary
about: One line.
variables:
  title: {type: text, max_chars: 10}
  tags: {type: list, max_items: 2, max_chars: 8}
  facts: {type: map, max_items: 1, max_chars: 8}
  tongue: {type: text, trusted: true}
messages:
  - {role: system, content: "Write {{ tongue }}."}
  - role: user
    content: |
      {% filter data %}
      {{ title }} {{ tags | join("+") }}
      {% for name, value in facts %}
      {{ name }}={{ value }}
      {% endfor %}
      {% endfilter %}
  - {role: assistant, content: "Type:"}
max_new_tokens: 20
stop: ["\\n\\n"]
"""
VALUES = {"title": "tin", "tags": ["a", "b"], "facts": {"size": "5"}, "tongue": "English"}


def load(tmp_path: Path, text: str):
    path = tmp_path / "tell.yaml"
    path.write_text(text, encoding="utf-8")
    return load_prompt(path)


def test_a_prompt_is_filled(tmp_path: Path) -> None:
    prompt = load(tmp_path, GOOD)
    rendered = prompt.render(VALUES)
    assert rendered.conversation == (
        Message("system", "Write English."),
        Message("user", "<data>\ntin a+b\nsize=5\n</data>"),
        Message("assistant", "Type:"),
    )
    assert rendered.truncated == {}
    assert (prompt.version.name, prompt.version.version, prompt.prefix, prompt.examples) == ("tell", "3", "Type:", "")
    assert (prompt.settings.max_new_tokens, prompt.settings.stop) == (20, ("\n\n",))
    assert prompt.output["summary"].required


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    prompt = load(tmp_path, GOOD)
    values = {**VALUES, "title": "one two three", "tags": ["a", "b", "cde"], "facts": [("k", "v"), ("kk", "vv")]}
    rendered = prompt.render(values)
    # "one two…" leaves " three" out; the third tag has 3 characters, the second fact 4
    assert rendered.truncated == {"title": 6, "tags": 3, "facts": 4}
    assert "one two… a+b\nk=v" in rendered.conversation[1].content


def test_missing_unknown_and_mistyped_variables_are_named(tmp_path: Path) -> None:
    prompt = load(tmp_path, GOOD)
    with pytest.raises(InputError, match="variable 'facts', 'tags' is missing"):
        prompt.render({"title": "t", "tongue": "English"})
    with pytest.raises(InputError, match="variable 'colour' is unknown"):
        prompt.render({**VALUES, "colour": "red"})
    with pytest.raises(InputError, match="variable 'tags' is not a list"):
        prompt.render({**VALUES, "tags": "a"})
    with pytest.raises(InputError, match="variable 'title' is not a text"):
        prompt.render({**VALUES, "title": None})
    with pytest.raises(InputError, match="variable 'facts' is not a map"):
        prompt.render({**VALUES, "facts": [1]})
    with pytest.raises(InputError, match="variable 'facts' is not known"):
        prompt.pick({"title": "", "tags": [], "tongue": ""})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("task: summary", "task: poem", "poem"),
        ("about: One line.", "", "about"),
        ("max_new_tokens: 20", "max_new_token: 20", "max_new_token"),
        ("max_new_tokens: 20", "max_new_tokens: 0", "max_new_tokens: 0 is not from 1 to 4096"),
        ("{{ title }}", "{{ titel }}", "'titel' is used but not declared; variable 'title' is declared but not used"),
        ("Write {{ tongue }}.", "Write {{ title }}.", "message 1: 'title' stands outside"),
        ("Write {{ tongue }}.", "{% for t in tags %}{{ t }}{% endfor %}{{ tongue }}", "message 1: 't' stands outside"),
        ("Write {{ tongue }}.", "{% set x = title %}{{ x }}{{ tongue }}", "message 1: 'x' stands outside"),
        ("Write {{ tongue }}.", "{{ tongue", "message 1: unexpected end"),
        ("Write {{ tongue }}.", "{{ tongue | shout }}", "shout"),
        ("Write {{ tongue }}.", "{% include 'x' %}{{ tongue }}", "includes nothing"),
        ("stop:", "output: {price: {type: text}}\nstop:", "has no field 'price'"),
        ("stop:", "output: {highlights: {type: text}}\nstop:", "highlights is a list, not a text"),
        ("max_chars: 10", "max_chars: 3", "title: max_chars below 8"),
        ("role: user", "role: system", "no user message"),
        ("name: tell", "name: [tell", "not a prompt"),
    ],
)
def test_faults_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert said in caught.value.message


def test_all_faults_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD.replace("{{ title }}", "{{ titel }}").replace("max_new_tokens: 20", "max_new_tokens: 0"))
    assert all(said in caught.value.message for said in ("titel", "'title'", "max_new_tokens"))


def test_templates_are_sandboxed(tmp_path: Path) -> None:
    prompt = load(tmp_path, GOOD.replace("Write {{ tongue }}.", "{{ tongue.__class__.__mro__ }}"))
    with pytest.raises(InputError, match="cannot be filled"):
        prompt.render(VALUES)


def test_no_such_prompt(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such prompt") as caught:
        load_prompt("sumarize")
    assert "summarize-product" in caught.value.next_step
    with pytest.raises(InputError, match="No such file"):
        load_prompt(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a prompt"):
        load_prompt(tmp_path / "binary.yaml")


def test_the_digest_follows_every_character(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).digest != load(tmp_path, GOOD + "# a comment\n").digest
