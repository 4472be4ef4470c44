"""What the demo runs on: the shipped sample, or a folder of the user's own.

A folder may hold a catalog (``catalog.*``, or one table or records file), ``contents.jsonl``, ``qrels.tsv`` and media
files. Media that no content names become contents themselves; without a catalog the sample's is taken.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmrec.errors import InputError
from llmrec.records import Content
from llmrec.storage import read_records
from llmrec.video.source import IMAGE_ENDINGS, VIDEO_ENDINGS

TABLES = {".csv", ".tsv", ".json", ".jsonl", ".parquet"}
NOT_CATALOGS = {"contents", "qrels", "matches", "manifest"}


class DemoData(msgspec.Struct, frozen=True):
    """Where the demo finds its inputs; ``folder`` is where relative media paths start."""

    catalog: Path
    contents: list[Content]
    folder: Path
    qrels: Path | None = None
    without_match: frozenset[str] = frozenset()
    own_catalog: bool = True


def sample_folder() -> Path:
    """The shipped sample: inside an installed package, or beside it in a checkout.

    Raises:
        InputError: Neither is there.
    """
    package = Path(__file__).parent.parent
    for folder in (package / "_data" / "examples", package.parent / "examples"):
        if (folder / "catalog.csv").is_file():
            return folder
    step = "Install llmrec again, or give a folder of your own: llmrec demo --data DIR"
    raise InputError("the sample data is not installed", next_step=step)


def find_data(folder: Path | None) -> DemoData:
    """Look through a folder (the sample's if None) for a catalog, contents and media.

    Raises:
        InputError: No such folder, nothing to match in it, or several files that may be the catalog.
    """
    folder = folder or sample_folder()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", next_step="Give a folder with media files and a catalog.")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    named = folder / "contents.jsonl"
    contents = list(read_records(named, Content)) if named.is_file() else []
    taken = {(folder / content.media).resolve() for content in contents if content.media}
    if not contents:
        contents = [
            _content(path)
            for path in files
            if path.suffix.lower() in VIDEO_ENDINGS | IMAGE_ENDINGS and path not in taken
        ]
    if not contents:
        step = f"Put videos or sound files ({', '.join(sorted(VIDEO_ENDINGS))}), pictures or a contents.jsonl into it."
        raise InputError(f"{folder}: holds nothing to match", next_step=step)

    tables = [p for p in files if p.suffix.lower() in TABLES and p.stem.lower() not in NOT_CATALOGS]
    catalogs = [path for path in tables if path.stem.lower() == "catalog"] or tables
    if len(catalogs) > 1:
        names = ", ".join(path.name for path in catalogs)
        raise InputError(f"{folder}: several files may be the catalog: {names}", next_step="Name one 'catalog.csv'.")
    catalog = catalogs[0] if catalogs else sample_folder() / "catalog.csv"
    qrels = folder / "qrels.tsv"
    unmatched = folder / "no_match.txt"
    return DemoData(
        catalog=catalog,
        contents=contents,
        folder=folder,
        qrels=qrels if qrels.is_file() else None,
        without_match=frozenset(unmatched.read_text(encoding="utf-8").split()) if unmatched.is_file() else frozenset(),
        own_catalog=bool(catalogs),
    )


def _content(path: Path) -> Content:
    kind = "video" if path.suffix.lower() in VIDEO_ENDINGS else "post"
    return Content(path.name, kind, media=path.name)  # type: ignore[arg-type]
