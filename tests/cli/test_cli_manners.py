"""Shared manners: quick help, exit codes, errors on stderr without a traceback."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from llmrec.cli.manners import LlmrecGroup, configure_logging, table
from llmrec.errors import GenerationError, InputError

ROOT = Path(__file__).parent.parent.parent


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom llmrec.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'faiss', 'av', 'numpy', 'pyarrow', 'sentence_transformers', 'cv2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )

    def used(program: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # beside what any typer program costs at that moment: seconds alone say more of the machine's other work
    pairs = [(used(code), used("import typer.main")) for _ in range(3)]
    ours, least = (min(side) for side in zip(*pairs, strict=True))
    assert ours < 6 * least, f"CPU seconds of `llmrec --help` and of importing typer: {pairs}"


def test_the_shim_is_the_same_app() -> None:
    shim = subprocess.run([sys.executable, "cli.py", "--version"], capture_output=True, text=True, cwd=ROOT)
    module = subprocess.run([sys.executable, "-m", "llmrec", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert shim.stdout == module.stdout != ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("a.csv, row 3: no id", next_step="Give one."), 2, "error: a.csv, row 3: no id\n  next: Give one."),
        (GenerationError("server gone", next_step="Start it."), 1, "error: server gone"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "/x/out"), 2, "error: /x/out: no space left on the disk"),
    ],
)
def test_errors_become_messages_and_exit_codes(error: BaseException, code: int, message: str) -> None:
    app = typer.Typer(cls=LlmrecGroup, pretty_exceptions_enable=False)

    @app.callback()
    def root() -> None: ...

    @app.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(app, ["fail"])
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""


def test_warnings_go_to_the_stderr_of_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(cls=LlmrecGroup)
    app.command()(lambda: configure_logging(False))
    CliRunner().invoke(app, [])  # its stderr is closed by now
    logging.getLogger("llmrec.test").warning("heard %s", "here")
    assert capsys.readouterr().err == "WARNING: heard here\n"


def test_table_lines_up_wide_characters() -> None:
    assert table(["a", "b"], [["x", "1"], ["水筒", "2"]]).splitlines() == ["a     b", "----  -", "x     1", "水筒  2"]
