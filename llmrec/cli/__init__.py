"""The command line: one file per command, each of which parses, calls the library and prints.

A command module defines ``register(app)``, which adds its command or its group to the app. Heavy imports stay inside
the functions, so that ``llmrec --help`` answers at once.
"""

from __future__ import annotations

from importlib import import_module

import typer

from llmrec.cli.manners import LlmrecGroup, configure_logging

#: In the order in which help shows them.
COMMANDS: list[str] = [
    "demo", "doctor", "models", "catalog", "watch", "recipes", "finetune", "summarize", "index", "index_live",
    "index_push", "match", "calibrate", "evaluate",
]  # fmt: skip

app = typer.Typer(
    name="llmrec",
    cls=LlmrecGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From a short video, a livestream or a search query to the products it is about.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from llmrec import __version__

        typer.echo(f"llmrec {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", is_eager=True, callback=_print_version
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what happens to stderr."),
) -> None:
    configure_logging(verbose)


for _name in COMMANDS:
    import_module(f"llmrec.cli.{_name}").register(app)
