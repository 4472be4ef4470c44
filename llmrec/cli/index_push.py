"""``llmrec index push shop.index --to qdrant://host:6333/shop``: an index folder into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrec.cli.manners import emit, progress


def register(root: typer.Typer) -> None:
    """Add the command to the group ``index``, which is there by then."""
    group = next(own.typer_instance for own in root.registered_groups if own.name == "index")
    assert group is not None
    group.command()(push)


def push(
    index: Annotated[Path, typer.Argument(metavar="DIR", help="The index folder.")],
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="qdrant://HOST:6333/NAME, qdrants:// for HTTPS.")],
    shards: Annotated[int | None, typer.Option(min=1, help="Parts over a cluster (default: the store's).")] = None,
    replicas: Annotated[int | None, typer.Option(min=1, help="Copies of each part (default: the store's).")] = None,
    on_disk: Annotated[bool, typer.Option("--on-disk", help="Leave vectors and words on disk, not in memory.")] = False,
    facet: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Index this for filters too: attributes.colour.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what the name stands for there.")] = False,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Leave what is replaced until the next push.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Load an index into Qdrant; it can be searched once it is whole. Run again, it goes on where it stopped."""
    from llmrec.index.remote import Layout
    from llmrec.index.remote import push as load

    layout = Layout(shards, replicas, on_disk, tuple(facet or ()))
    told = load(index, to, replace=replace, layout=layout, keep=keep, progress=progress)
    text = f"{told['address']}: {told['products']} products, {told['sent']} sent in {told['seconds']:.1f} s"
    emit(told, as_json=as_json, text=text)
