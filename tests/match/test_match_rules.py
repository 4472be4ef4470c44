"""Rule files: every fault at once with its line, and the example is one that can be copied."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.index import Index
from llmrec.match import load_rules
from llmrec.match.rules import parse_rules
from llmrec.match.steering import notices
from llmrec.records import Product

EXAMPLE = Path(__file__).parents[2] / "examples" / "rules.yaml"

BAD = """version: 1
ruels: []
rules:
  - name: a
    action: ban
    where: brnd == "Acme"
    by: 1
  - name: a
    action: bost
    where: 3
  - name: c
    action: boost
    by: 0
    contents: [live, tv]
  - action: cap
    most: 0
    fied: brand
    field: colour
  - x
  - name: d
    action: cap
    most: true
    name: f
"""


def faults(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_rules(text)
    return caught.value.message


def test_every_fault_is_told_at_once_with_its_line() -> None:
    told = faults(BAD)
    assert told.splitlines()[0] == "rules: 17 faults in the rule file"
    for line in (
        "line 2: ruels: unknown key; did you mean 'rules'?",
        "line 6: rule 'a': where: 'brnd == \"Acme\"': the filter names 'brnd', which is no field (character 1). "
        "Did you mean 'brand'?",
        "line 7: rule 'a': by: means nothing for the action ban (it belongs to boost)",
        "line 8: rule 'a': name: another rule has this name",
        "line 9: rule 'a': action: 'bost' is not one of 'ban', 'boost' or 'cap' (did you mean 'boost'?)",
        "line 10: rule 'a': where: 3: input should be a valid string",
        "line 11: rule 'c': where: is missing: the products that it is for",
        "line 13: rule 'c': by: 0 does nothing",
        "line 14: rule 'c': contents.1: 'tv' is not one of 'video', 'live', 'search' or 'post'",
        "line 15: rule 4: name: is missing",
        "line 16: rule 4: most: 0: input should be greater than or equal to 1",
        "line 17: rule 4: fied: unknown key; did you mean 'field'?",
        "line 18: rule 4: field: 'colour' is not one of 'brand' or 'category'",
        "line 19: rule 5: 'x': input should be a valid",
        "line 20: rule 'f': field: is missing",
        "line 22: rule 'f': most: True: input should be a valid integer",
        "line 23: rules.5.name: stands twice (first in line 20)",
    ):
        assert f"  {line}" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 2\nrules: []", "line 1: version: 2 is not one of 1"),
        ("version: true\nrules: []", "version: True: not a version"),
        ("rules: []", "version: is missing"),
        ("version: 1\nrules: {}", "rules: not a list of rules"),
        ("version: 1\nrules:", "rules: None: not a list of rules"),
        ("[]", "not a rule file"),
        ("a: &b 1", "a rule file has no anchors"),
        ('version: 1\nrules:\n- where: title contains "a: b"', "line 3: not YAML"),
        ("version: 1\nrules:\n- {name: x, action: boost, where: in_stock, by: .inf}", "by: inf"),
        ("version: 1\nrules:\n- {name: x, action: cap, most: 2, field: brand, by: 1}", "by: means nothing"),
        ("version: 1\nrules:\n- {name: x, action: ban, where: in_stock, contents: []}", "contents"),
    ],
)
def test_what_is_no_rule_file(text: str, told: str) -> None:
    assert told in faults(text)


def test_bans_that_are_too_much_together_are_told_when_they_are_read() -> None:
    one = " or ".join(f'brand == "b{i}"' for i in range(60))
    rules = "".join(f"- {{name: r{i}, action: ban, where: '{one}'}}\n" for i in range(2))
    assert "all bans taken together: the filter compares too often" in faults(f"version: 1\nrules:\n{rules}")


@given(st.text(max_size=80) | st.text("version:1rules -{}[]&*'\"\n#", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        assert parse_rules(text).version == 1
    except InputError as error:
        assert error.next_step


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20), st.floats(0.1, 9))
def test_what_is_written_is_what_is_read(name: str, by: float) -> None:
    value = name.replace("\\", "\\\\").replace('"', '\\"')
    rule = {"name": name, "action": "boost", "where": f'title contains "{value}"', "by": by}
    (read,) = parse_rules(yaml.safe_dump({"version": 1, "rules": [rule]}, allow_unicode=True)).rules
    assert (read.name, read.where, read.by) == (name, rule["where"], by)


def test_the_example_is_read() -> None:
    rules = load_rules(EXAMPLE)
    assert [rule.action for rule in rules.rules] == ["ban", "ban", "boost", "boost", "cap", "cap"]
    assert rules.allowed("live", "price < 50 EUR") == (
        '(price < 50 EUR) and (not (in_stock exists and not in_stock)) and (not (category under "Kitchen > Knives"))'
    )
    assert rules.allowed("post") == "not (in_stock exists and not in_stock)"
    with pytest.raises(InputError, match="no-such"):
        load_rules(EXAMPLE.with_name("no-such.yaml"))


def test_the_rules_of_the_documentation_are_read() -> None:
    page = (EXAMPLE.parents[1] / "docs" / "rules.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.S | re.M)
    assert [rule.action for rule in parse_rules(shown).rules] == ["ban", "boost", "boost", "cap", "cap"]


def test_rules_that_do_nothing_or_too_much_are_told(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", [Product("a", "mug"), Product("b", "pot")], None)
    rules = parse_rules(
        """version: 1
rules:
- {name: none, action: boost, where: title contains "tent", by: 1}
- {name: brands, action: cap, field: brand, most: 2}
- {name: all, action: ban, where: title exists, contents: live}
"""
    )
    told = list(notices(index, rules, None))
    assert [line.split(str(index.path))[-1] for line in told] == [
        " for contents of the kind live",
        " fits the filter of the rule 'none': title contains \"tent\"",
        " has a brand: the rule 'brands' does nothing",
    ]
    assert list(notices(index, None, None)) == []
