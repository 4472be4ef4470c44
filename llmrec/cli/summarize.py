"""``llmrec summarize products.jsonl -o summaries.jsonl``: a grounded summary of each product by a language model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.manners import emit, progress, usable_output
from llmrec.errors import InputError, LlmrecError

if TYPE_CHECKING:
    from llmrec.records import Product, ProductSummary
    from llmrec.storage import Ledger


#: What a model is asked by when neither the caller nor an adapter says otherwise.
PROMPT = "summarize-product"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(summarize)


def summarize(
    input: Annotated[str, typer.Argument(metavar="INPUT", help="What 'catalog import' reads, or '-'.")],
    output: Annotated[str, typer.Option("-o", "--output", help="Summaries: .jsonl, .parquet, or '-'.")],
    model: Annotated[
        str, typer.Option(help="Starter, folder, GGUF file, hub id, or openai:MODEL@http://host:port/v1.")
    ] = "starter:smollm2-135m",
    adapter: Annotated[str | None, typer.Option(help="PEFT adapter for a local model.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A shipped prompt, or a .yaml file (default: the adapter's own, else summarize-product).",
        ),
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server, up to /v1.")] = None,
    api_key_env: Annotated[str, typer.Option(help="Environment variable with the server's key.")] = "OPENAI_API_KEY",
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of an answer (default: as the prompt says).")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0: the likeliest words, the same each time.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="For temperatures above 0.")] = 0,
    candidates: Annotated[
        int, typer.Option(min=1, help="Answers drawn for each product; the one most like the others is kept.")
    ] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="For a local model (default: measured).")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Products that the model gets at once.")] = 32,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many products.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run was.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a grounded summary of each product; an interrupted run goes on where it was."""
    import msgspec

    from llmrec.catalog import Catalog
    from llmrec.llm import ConsensusGenerator, load_generator
    from llmrec.prompting import load_prompt
    from llmrec.summarize import Summarizer

    if output == "-" and as_json:
        raise InputError("the summaries and --json cannot both go to stdout", next_step="Give a file with -o.")
    usable_output(output, input)
    chosen = load_prompt(prompt or _trained_prompt(adapter) or PROMPT)
    catalog = Catalog.read(input)
    products = _first_read(catalog, limit)
    changed = {"temperature": temperature, "seed": seed, "max_new_tokens": max_new_tokens}
    settings = msgspec.structs.replace(chosen.settings, **{k: v for k, v in changed.items() if v is not None})
    generator = load_generator(model, adapter=adapter, base_url=base_url, api_key_env=api_key_env, threads=threads)
    summarizer = Summarizer(ConsensusGenerator(generator, candidates), chosen, settings)

    def written(ledger: Ledger[ProductSummary] | None) -> Iterator[ProductSummary]:
        yield from progress(summarizer.summarize(products, batch_size, ledger), "summarizing", limit)

    if output == "-":
        _write(output, written(None))
    else:
        with summarizer.ledger(output, resume=resume) as ledger:
            with _kept(ledger):
                _write(output, written(ledger))
            ledger.finish()
    rejected = catalog.report.rejected_total
    usage = getattr(generator, "usage", None)
    result: dict[str, Any] = {
        "output": output,
        "model": generator.reference,
        "adapter": generator.adapter,
        "prompt": chosen.version,
        "candidates": candidates,
        **summarizer.report.as_dict(),
        "resumed": summarizer.resumed,
        "rejected": rejected,
        "usage": usage,
    }
    if as_json:
        emit(result, as_json=True)
    else:
        print(_told(result), file=sys.stderr)


def _trained_prompt(adapter: str | None) -> str | None:
    """The prompt that an adapter's recipe names; None for no adapter, or one that came without a recipe of ours."""
    from llmrec.models import resolve
    from llmrec.recipes import load_recipe

    if adapter is None:
        return None
    try:
        path = resolve(adapter).path / "recipe.yaml"
    except LlmrecError:  # it is told of when the model is loaded
        return None
    if not path.is_file():
        return None
    try:
        return load_recipe(str(path)).data.prompt
    except LlmrecError as error:  # of another tool, or of a newer llmrec
        what = "asked by the default prompt, which may not be the one that it learned; --prompt names another"
        print(f"warning: {path}: cannot be read ({error.message}); {what}", file=sys.stderr)
        return None


def _first_read(products: Iterable[Product], limit: int | None) -> Iterator[Product]:
    """The products, the first of them read now: a file that cannot be used is said before a model is loaded."""
    from itertools import chain, islice

    stream = iter(products)
    first = list(islice(stream, 1))
    whole = chain(first, stream)
    return islice(whole, limit) if limit else whole


def _write(output: str, summaries: Iterable[ProductSummary]) -> None:
    from llmrec.records import ProductSummary
    from llmrec.storage import write_records

    write_records(output, summaries, ProductSummary)


class _kept:
    """Says, when the work is broken off, what is kept and how to go on."""

    def __init__(self, ledger: Ledger[ProductSummary]) -> None:
        self.ledger = ledger

    def __enter__(self) -> None:
        if self.ledger.done:
            print(f"going on: {len(self.ledger.done)} summaries of an earlier run are kept", file=sys.stderr)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None or not issubclass(kind, KeyboardInterrupt | LlmrecError):
            return
        kept = f"{len(self.ledger.done)} summaries are kept; run the same command again to go on"
        if issubclass(kind, KeyboardInterrupt):
            print(f"interrupted: {kept}", file=sys.stderr)
            raise typer.Exit(130) from error
        if self.ledger.done:
            print(kept, file=sys.stderr)


def _told(result: dict[str, Any]) -> str:
    resumed = f", {result['resumed']} of an earlier run" if result["resumed"] else ""
    lines = [f"{result['written']} summaries by {result['model']}{resumed}"]
    for count, what in (
        ("unreadable", "answers could not be read: their summary is empty"),
        ("ungrounded", "summaries lost claims that stand nowhere in the product"),
        ("shortened", "products were longer than the prompt takes: the rest was left out"),
        ("rejected", "rows of the catalog were rejected (see 'llmrec catalog import')"),
    ):
        if result[count]:
            lines.append(f"  {result[count]} {what}")
    return "\n".join(lines)
