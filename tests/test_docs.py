"""README and docs say what is true: commands and options exist, the tree is the tree, the example runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from llmrec.cli import COMMANDS, app

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "eval" / "README.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def fenced(text: str, language: str) -> list[str]:
    return [body for kind, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M) if kind == language]


def shown_commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = fenced(text, "") + fenced(text, "sh") + fenced(text, "bash")
        lines = [line.split("   #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`((?:\.venv/bin/)?llmrec [^`\n]+)`", text)
        # a pipe of our commands shows each of them
        piped = [part for line in lines for part in re.split(r" \| (?=llmrec )", line)]
        found += [(page.name, line.removeprefix(".venv/bin/")) for line in piped]
    return sorted({(page, line) for page, line in found if re.match(r"llmrec [a-z]", line)})


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_commands_and_options_exist(page: str, line: str) -> None:
    command = typer.main.get_command(app)
    words = shlex.split(line.replace("…", ""))[1:]
    while words and not words[0].startswith("-") and hasattr(command, "commands"):
        assert words[0] in command.commands or "|" in words, f"{page}: no command {words[0]!r} in: {line}"
        if "|" in words:
            assert set(words) - {"|"} <= set(command.commands) | set(words[:1])
            return
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= known | {"--help"}, f"{page}: {line}: no option {used - known}"


def test_readme_shows_commands() -> None:
    assert len(shown_commands()) >= 8


def test_every_command_is_in_help_and_has_one() -> None:
    group = typer.main.get_command(app)
    # what adds to a group is no command of its own
    assert set(group.commands) == set(COMMANDS) - {"index_live", "index_push"}
    for name, command in group.commands.items():
        assert command.help, name
        for sub in getattr(command, "commands", {}).values():
            assert sub.help, f"{name} {sub.name}"


def test_the_tree_is_the_tree() -> None:
    (tree,) = [block for block in fenced(README, "") if "records.py" in block]
    for line in tree.splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()
        path = ROOT / ("llmrec" if indent else "") / name
        assert path.exists(), f"README names {path.relative_to(ROOT)}"
    rooms = {path.name for path in (ROOT / "llmrec").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert rooms <= set(re.findall(r"^  (\w+)/", tree, re.M))


def test_pictures_and_links_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_python_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from llmrec.errors import ModelError
    from llmrec.models import resolve

    try:
        resolve("starter:minilm", offline=True)
    except ModelError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "products.csv").write_text("id,title\n1,red enamel mug\n2,blue enamel mug\n3,blue tent\n")
    find, pairs = fenced(README, "python")
    exec(compile(find, "README.md", "exec"), {})
    assert "product_id='2'" in capsys.readouterr().out
    shown: dict[str, Any] = {}
    exec(compile(pairs.replace("matcher.score", "scores = matcher.score"), "README.md", "exec"), shown)
    assert [round(float(score), 2) for score in shown["scores"]] == pytest.approx([0.92, 0.33], abs=0.02)
