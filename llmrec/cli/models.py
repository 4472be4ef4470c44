"""``llmrec models``: those that can be used by name or lie on this machine; merged, quantised and exported ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.manners import emit, table

if TYPE_CHECKING:
    from llmrec.models import ModelFolder
    from llmrec.train.merge import Made

_REFERENCE = "starter:NAME, adapter:NAME, a folder, a .gguf file, or a hub id (org/name, org/name@revision)."


def register(app: typer.Typer) -> None:
    """Add the group ``models``."""
    group = typer.Typer(help="Fetch models, show which there are, and make other forms of them.", no_args_is_help=True)
    group.command("list")(list_models)
    group.command("pull")(pull_models)
    group.command("show")(show_model)
    group.command("merge")(merge_adapter)
    group.command("quantize")(quantize_model)
    group.command("export")(export_model)
    app.add_typer(group, name="models")


def list_models(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """List the starter models, the adapters that are shipped, and whatever else the cache holds."""
    from llmrec.models import STARTERS, cache_folder, cached

    entries = cached()
    have = {entry.path.name: entry for entry in entries if entry.folder}
    models: list[dict[str, Any]] = [
        {
            "reference": starter.reference,
            "role": starter.role,
            "kind": starter.kind,
            "licence": starter.licence,
            "download_bytes": starter.size,
            "cached_bytes": have[starter.entry].bytes if starter.entry in have else None,
            "note": starter.note,
        }
        for starter in STARTERS.values()
    ]
    models += _adapters()
    models += [
        {
            "reference": entry.folder.reference,
            "role": "",
            "kind": entry.folder.kind,
            "licence": entry.folder.licence,
            "download_bytes": None,
            "cached_bytes": entry.bytes,
            "note": "of another version of llmrec; can be deleted" if name.startswith("starter--") else "",
        }
        for name, entry in have.items()
        if entry.folder and name not in {starter.entry for starter in STARTERS.values()}
    ]
    damaged = [str(entry.path) for entry in entries if not entry.folder]
    rows = [
        [
            model["reference"],
            model["role"] or model["kind"],
            _megabytes(model["download_bytes"] or model["cached_bytes"]),
            model["licence"] or "not stated",
            "yes" if model["cached_bytes"] is not None else "no",
            model["note"],
        ]
        for model in models
    ]
    text = table(["reference", "role", "size", "licence", "cached", "note"], rows)
    text += f"\n\ncache: {cache_folder()}"
    text += "".join(f"\ndamaged, made again at the next use: {path}" for path in damaged)
    emit({"cache": str(cache_folder()), "models": models, "damaged": damaged}, as_json=as_json, text=text)


def _adapters() -> list[dict[str, Any]]:
    """The shipped adapters as ``list_models`` prints them."""
    from llmrec.models import shipped_adapters
    from llmrec.models.inspect import inspect_folder
    from llmrec.models.shipped import ADAPTER_PREFIX

    rows = []
    for name, path in shipped_adapters().items():
        found = inspect_folder(path, ADAPTER_PREFIX + name)
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        facts = {"role": "adapter", "kind": found.kind, "licence": found.licence, "note": f"for {found.base}"}
        rows.append({"reference": ADAPTER_PREFIX + name, **facts, "download_bytes": 0, "cached_bytes": size})
    return rows


def pull_models(
    references: list[str] = typer.Argument(..., metavar="REF…", help=_REFERENCE),
    revision: str | None = typer.Option(None, help="Branch, tag or commit of a hub model."),
    verify: bool = typer.Option(False, "--verify", help="Hash what is cached; fetch it again when damaged."),
    allow_pickle: bool = typer.Option(False, "--allow-pickle", help="Accept pickled weights: they can run code."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Fetch models into the cache; what is there already is left alone."""
    from llmrec.models import pull
    from llmrec.models.reference import parse

    for reference in references:  # a misspelt last one is found before the first is fetched
        parse(reference, revision)
    results = []
    for reference in references:
        pulled = pull(reference, revision=revision, allow_pickle=allow_pickle, verify=verify)
        results.append({**_facts(pulled.folder), "action": pulled.action})
        if not as_json:
            print(f"{pulled.action:9}{pulled.folder.reference}  {pulled.folder.path}", flush=True)
    emit({"models": results}, as_json=as_json)


def show_model(
    reference: str = typer.Argument(..., metavar="REF", help=_REFERENCE),
    revision: str | None = typer.Option(None, help="Branch, tag or commit of a hub model."),
    allow_pickle: bool = typer.Option(False, "--allow-pickle", help="Accept pickled weights: they can run code."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Show where a model lies, its licence, digest, revision and files; nothing is fetched."""
    from llmrec.models import STARTERS, known

    folder = known(reference, revision=revision, allow_pickle=allow_pickle)
    starter = STARTERS.get(reference.removeprefix("starter:")) if reference.startswith("starter:") else None
    facts: dict[str, Any] = {"cached": folder is not None}
    if folder is not None:
        facts |= _facts(folder)
        paths = sorted(path for path in folder.path.rglob("*") if path.is_file())
        facts["files"] = {path.relative_to(folder.path).as_posix(): path.stat().st_size for path in paths}
    if starter is not None:
        facts.setdefault("reference", starter.reference)
        facts |= {"licence": starter.licence, "kind": starter.kind, "note": starter.note}
        facts["packages"] = [asdict(archive) for archive in starter.archives]
    emit(facts, as_json=as_json, text=_text(facts))


_Output = Annotated[str, typer.Option("-o", "--output", help="What to write; it must not be there yet.")]
_Tolerance = Annotated[
    float | None,
    typer.Option(
        help="Most drift of the answers: nats of KL divergence a token, 1 - cosine of vectors, difference of scores."
    ),
]
_Texts = Annotated[
    str | None, typer.Option("--texts", metavar="FILE", help="Texts that both are asked, one a line (default: ours).")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def merge_adapter(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="The folder 'adapter' of a training.")],
    output: _Output,
    base: Annotated[str | None, typer.Option(help="The model, when not the one that the adapter names.")] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32.")] = "bfloat16",
    tolerance: _Tolerance = None,
    texts: _Texts = None,
    as_json: _Json = False,
) -> None:
    """Merge an adapter into its model; refused when the merged model answers differently."""
    from llmrec.train.likeness import read_texts
    from llmrec.train.merge import merge

    asked = read_texts(texts)
    _report(merge(adapter, output, base=base, dtype=dtype, tolerance=tolerance, texts=asked), as_json)


def quantize_model(
    model: Annotated[str, typer.Argument(metavar="REF", help=_REFERENCE)],
    output: _Output,
    to: Annotated[str, typer.Option(help="nf4 (4 bits) or int8.")] = "nf4",
    tolerance: _Tolerance = None,
    texts: _Texts = None,
    as_json: _Json = False,
) -> None:
    """Quantise a language model with bitsandbytes; refused when it answers very differently."""
    from llmrec.train.likeness import read_texts
    from llmrec.train.quantize import quantize

    asked = read_texts(texts)
    _report(quantize(model, output, to=to, tolerance=tolerance, texts=asked), as_json)


def export_model(
    model: Annotated[str, typer.Argument(metavar="REF", help=_REFERENCE)],
    output: _Output,
    to: Annotated[str, typer.Option(help="gguf (language models; a file) or onnx (a folder).")],
    kind: Annotated[
        str | None, typer.Option(help="gguf: f16 (default), bf16, q8_0, f32; onnx: fp32 (default), int8.")
    ] = None,
    tolerance: _Tolerance = None,
    texts: _Texts = None,
    as_json: _Json = False,
) -> None:
    """Export a model to GGUF or ONNX, read it back and compare; refused when it answers differently."""
    from llmrec.errors import InputError
    from llmrec.train.likeness import read_texts

    if to not in ("gguf", "onnx"):
        raise InputError(f"--to {to}: unknown", next_step="Give gguf or onnx.")
    asked = read_texts(texts)
    if to == "gguf":
        from llmrec.train.export_gguf import export_gguf

        made = export_gguf(model, output, kind=kind or "f16", tolerance=tolerance, texts=asked)
    else:
        from llmrec.train.export_onnx import export_onnx

        made = export_onnx(model, output, kind=kind or "fp32", tolerance=tolerance, texts=asked)
    _report(made, as_json)


def _report(made: Made, as_json: bool) -> None:
    report = made.report
    head = f"{made.path}: {_megabytes(report['bytes'])}"
    if "share" in report:
        head += f", {report['share']:.0%} of what it was made from"
    rows = [
        [key, f"{value:.4g}" if isinstance(value, float) else str(value)] for key, value in report["likeness"].items()
    ]
    emit({"output": str(made.path), **report}, as_json=as_json, text=f"{head}\n{table(['compared', ''], rows)}")


def _facts(folder: ModelFolder) -> dict[str, Any]:
    return {**asdict(folder), "path": str(folder.path)}


def _text(facts: dict[str, Any]) -> str:
    order = ("reference", "kind", "licence", "note", "base", "revision", "digest", "path")
    rows = [[key, str(facts[key])] for key in order if facts.get(key)]
    for archive in facts.get("packages", []):
        rows.append(["package", f"{archive['registry']}: {archive['package']} {archive['version']}"])
        rows.append(["", f"sha256 {archive['sha256']}"])
    files = facts.get("files", {})
    rows += [["file", f"{name}  {_megabytes(size)}"] for name, size in files.items()]
    if not facts["cached"]:
        rows.append(["cached", f"no; fetch it with: llmrec models pull {facts['reference']}"])
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"{key:{width}}  {value}" for key, value in rows)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"
