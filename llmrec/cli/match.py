"""``llmrec match contents.jsonl --index shop.index -o matches.jsonl``: contents to ranked products with evidence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.manners import emit, progress, record_output, usable_output, visible
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.index import Index
    from llmrec.index.remote import RemoteIndex
    from llmrec.match import Matcher, MatchSettings
    from llmrec.records import Content, ContentKind
    from llmrec.seams import ImageEncoder
    from llmrec.video import Watcher

CONTENT_FILES = (".jsonl", ".ndjson", ".json", ".gz", ".parquet")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(name="match")(match)


def match(
    input: Annotated[str, typer.Argument(help="Contents (.jsonl, .parquet, '-' for stdin), or one media file.")],
    index: Annotated[
        Path, typer.Option("--index", metavar="DIR", help="The index folder, or qdrant://HOST:6333/NAME.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", help="Matches (.jsonl, .parquet, '-' for stdout).")],
    k: Annotated[int, typer.Option("-k", min=1, help="Products per content.")] = 10,
    where: Annotated[
        str | None, typer.Option(metavar="FILTER", help='Only such products: price < 50 and brand in ["Acme"].')
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is never shown, sooner or later, or only so often (YAML).")
    ] = None,
    diversity: Annotated[
        float, typer.Option(min=0.0, max=0.95, help="From 0 (not at all): what being unlike those before it counts.")
    ] = 0.0,
    calibration: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What 'llmrec calibrate' made: probabilities in the matches.")
    ] = None,
    min_precision: Annotated[
        float | None,
        typer.Option(min=0.5, max=0.999, help="Decide: say 'no match' unless so many first products are right."),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Cut to sets that miss the right answer for this share of contents."),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Reranker for a second look: adapter:minilm-pairs, a folder, an LLM."),
    ] = None,
    rerank_depth: Annotated[
        int | None, typer.Option(min=2, help="Products of each content that it looks at.", show_default="20")
    ] = None,
    rerank_budget: Annotated[
        float | None, typer.Option(min=0.0, metavar="SECONDS", help="Time that it may take for a content, on average.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Another reference for the index's own encoder.")] = None,
    intent: Annotated[str, typer.Option(help="Model that writes each content's shopping intent, or 'none'.")] = "none",
    intent_prompt: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="What it is asked: 'shopping-intents' suits models of some billions."),
    ] = "shopping-intent",
    speech: Annotated[
        str, typer.Option(help="Speech model for media watched now, or 'none'.")
    ] = "starter:whisper-base",
    vision: Annotated[
        bool, typer.Option("--vision/--no-vision", help="Compare frames with product pictures, if the index has them.")
    ] = True,
    frames: Annotated[Path | None, typer.Option(help="Folder for the keyframes of media watched now.")] = None,
    isolate: Annotated[
        bool, typer.Option("--isolate/--no-isolate", help="Child processes watch media: what kills one costs one file.")
    ] = True,
    run: Annotated[Path | None, typer.Option("--run", help="Write the ranking as a TREC run as well.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run stopped.")] = True,
    merge: Annotated[
        bool, typer.Option("--merge", help="With '- -o -': after each window of a stream print the stream's total.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find the products that contents show or want, each with the words that made it a match."""
    if as_json and output == "-":
        raise InputError("--json and '-o -' both write to standard output", next_step="Write the matches to a file.")
    usable_output(output, input, rules)
    record_output(output)
    usable_output(run, input, output, rules)
    from llmrec.index.where import parse
    from llmrec.match import Matcher, MatchSettings, load_rules, open_index, open_reranking, watch_contents
    from llmrec.match.judging import set_counts
    from llmrec.match.reranking import looked_at
    from llmrec.match.watching import media_of
    from llmrec.records import Match
    from llmrec.storage import Ledger, fingerprint, sha256_file, write_records

    if merge and not (input == output == "-" and not run):
        step = "Use it as: llmrec watch --live … -o - | llmrec match - --index … -o - --merge"
        raise InputError("--merge is for streams from pipe to pipe", next_step=step)
    if merge and calibration:
        step = "Leave one of them out."
        raise InputError("--merge adds windows up, of which a calibration says nothing", next_step=step)
    business = load_rules(rules) if rules else None
    how = MatchSettings(k=k, vision=vision, where=where, rules=business, diversity=diversity)
    if merge and (diversity or (business and any(rule.action == "cap" for rule in business.rules))):
        step = "Leave them out; bans and boosts hold in each window, and so in the total."
        raise InputError("--merge adds windows up, in which caps and diversity do not last", next_step=step)
    trust = _trusted(calibration, min_precision, alpha)

    def second_look() -> Any:
        return open_reranking(rerank, trust["calibration"], depth=rerank_depth, budget=rerank_budget)

    if where:
        parse(where)  # a fault is told before models are loaded
    if input == output == "-" and not run:
        opened = open_index(index, encoder=encoder, vision=vision)
        _satisfiable(opened, how)
        matcher = Matcher(opened, intents=_writer(intent, intent_prompt), settings=how, rerank=second_look(), **trust)
        _pass_on(matcher, _WatchOnDemand(speech, frames, opened.image_encoder), k if merge else None)
        return
    contents, folder = _contents(input)
    try:
        unwatched = sum(media_of(content, folder) is not None for content in contents)
    except InputError as error:
        raise InputError(f"{input}: {error.message}", next_step=error.next_step) from error
    pictured = vision and any(content.media or content.keyframes for content in contents)
    opened = open_index(index, encoder=encoder, vision=pictured)
    _satisfiable(opened, how)
    if run:
        from llmrec.evaluate.runs import check_id

        for name in [*(content.id for content in contents), *opened.ids]:
            check_id(name)
    beside = output if output != "-" else "matches"
    seen_with = ""
    failed: list[str] = []
    if unwatched:
        from llmrec.match.watchers import file_watcher
        from llmrec.video import WatchSettings
        from llmrec.video.child import worker_count
        from llmrec.video.settings import VERSION

        settings = WatchSettings(speech=speech)
        tower = opened.image_encoder
        seen_with = fingerprint(VERSION, settings, *([tower.digest] if tower else []))
        sight = tower.reference if tower else "none"
        workers = worker_count(unwatched) if isolate else 1

        with file_watcher(settings, frames, sight, isolate=isolate, workers=workers, loaded=tower) as (watcher, _):
            stream = watch_contents(
                contents,
                watcher.watch,
                folder=folder,
                target=beside,
                settings=seen_with,
                resume=resume,
                on_failure=_failing(failed),
                workers=workers,
            )
            contents = list(progress(stream, "watching", len(contents)))
    matcher = Matcher(opened, intents=_writer(intent, intent_prompt), settings=how, rerank=second_look(), **trust)

    if output == "-":
        write_records("-", progress(matcher.match(contents, folder=folder), "matching", len(contents)), Match)
        _leave(failed)
        return
    # without a filter as it was before there were any, so that runs begun then go on
    filtered = [where] if where else []
    filtered += [f"rules {sha256_file(rules)}"] if rules else []
    filtered += [f"diversity {diversity}"] if diversity else []
    if calibration:
        filtered += [sha256_file(calibration / "manifest.json"), str(min_precision)]
        filtered += [] if alpha is None else [f"alpha={alpha}"]
    if matcher.rerank is not None:
        again = matcher.rerank
        filtered += [again.scorer.digest, str(again.depth), str(again.budget)]
    made_with = fingerprint(opened.version_digest, k, intent, intent_prompt, seen_with, vision, *filtered)
    with Ledger(output, Match, made_with, resume=resume) as ledger:
        keys = [fingerprint(content) for content in contents]
        todo = {key: content for key, content in zip(keys, contents, strict=True) if key not in ledger.done}
        found = matcher.match(todo.values(), folder=folder)
        for key, record in zip(todo, progress(found, "matching", len(todo)), strict=True):
            ledger.add(key, record)
        matches = [ledger.done[key] for key in keys]
        write_records(output, matches, Match)
        if run:
            from llmrec.evaluate import run_from_matches, write_run

            write_run(run, run_from_matches(matches))
        ledger.finish()
    refused = sum(record.no_match.decision is True for record in matches)
    empty = [record.content_id for record in matches if not record.products]
    resumed = len(matches) - len(todo)
    result: dict[str, Any] = {"contents": len(matches), "watched": unwatched, "resumed": resumed}
    result |= {"empty": len(empty), "output": output}
    result |= {"no_match": refused} if min_precision is not None else {}
    which = f" ({', '.join(empty[:5])}{', …' if len(empty) > 5 else ''})" if empty else ""
    text = f"{len(matches)} contents matched, {len(empty)} of them found nothing{which}: {output}"
    if min_precision is not None:
        text += f"\n{refused} of them have no match in the catalog, as far as a precision of {min_precision:g} goes"
    if alpha is not None:
        result["sets"] = told = set_counts(matches)
        text += "\nsets: {products} products, {single} of one, {no_match_possible} with no match".format(**told)
    if matcher.rerank is not None:
        result["rerank"] = told = looked_at(matches)
        text += "\nreranked: {looked} contents; sure of {sure}, too little time for {short}".format(**told)
    elif rerank:
        text += "\nnot reranked: on the calibration's contents the reranker did not help"
    emit({**result, "empty_ids": empty, "failed": failed}, as_json=as_json, text=text)
    _leave(failed)


def _trusted(calibration: Path | None, min_precision: float | None, alpha: float | None) -> dict[str, Any]:
    """The calibration, opened before models are loaded, and what is asked of it."""
    from llmrec.match import Calibration
    from llmrec.match.judging import bar_of

    if calibration is None and (min_precision is not None or alpha is not None):
        step = "Give one with --calibration (llmrec calibrate)."
        asked = "--alpha" if min_precision is None else "--min-precision"
        raise InputError(f"{asked} wants a calibration", next_step=step)
    opened = Calibration.load(calibration) if calibration else None
    if opened is not None and min_precision is not None:
        opened.final.bar(min_precision)
    if opened is not None and alpha is not None:
        bar_of(opened, alpha)
    return {"calibration": opened, "min_precision": min_precision, "alpha": alpha}


def _satisfiable(index: Index | RemoteIndex, how: MatchSettings) -> None:
    """Say so when a filter keeps nothing: all matches would be empty without a word, or a rule without effect."""
    from llmrec.match.steering import notices

    if how.where and not index.count(how.where):
        print(visible(f"warning: no product of {index.path} fits the filter {how.where}"), file=sys.stderr)
    for notice in notices(index, how.rules, how.where):
        print(visible(f"warning: {notice}"), file=sys.stderr)


def _writer(model: str, prompt: str) -> Any:
    """What writes intents, if a model is named."""
    if model == "none":
        return None
    from llmrec.llm import load_generator
    from llmrec.prompting import load_prompt
    from llmrec.summarize import IntentWriter

    asked = load_prompt(prompt)  # a wrong name is said before a model is loaded
    return IntentWriter(load_generator(model), asked).intents


def _pass_on(matcher: Matcher, watch: _WatchOnDemand, merge: int | None) -> None:
    """Match what comes from a pipe one by one, each as soon as it is there: the stream may have no end."""
    from llmrec.match.running import Running
    from llmrec.match.watching import arriving
    from llmrec.records import Content, Match
    from llmrec.storage import read_records, write_records

    failed: list[str] = []
    records = read_records("-", Content)
    contents = arriving(records, watch, folder=Path.cwd(), source="standard input", on_failure=_failing(failed))

    def found() -> Iterator[Match]:
        nonlocal matcher
        for content in contents:
            matcher = matcher.latest()  # products that came since are found
            yield from matcher.match([content])

    matches = found()
    write_records("-", map(Running(merge).add, matches) if merge else matches, Match)
    _leave(failed)


class _WatchOnDemand:
    """Watches media with models that are loaded when the first comes."""

    def __init__(self, speech: str, frames: Path | None, tower: ImageEncoder | None) -> None:
        self._speech, self._frames, self._tower = speech, frames, tower
        self._watcher: Watcher | None = None

    def __call__(self, path: Path, *, id: str, kind: ContentKind) -> Content:
        from llmrec.video import Watcher, WatchSettings

        if self._watcher is None:
            settings = WatchSettings(speech=self._speech)
            self._watcher = Watcher(settings, frames_dir=self._frames, image_encoder=self._tower)
        return self._watcher.watch(path, id=id, kind=kind)


def _failing(failed: list[str]) -> Callable[[InputError], None]:
    """Tells of media that cannot be watched, and notes it in ``failed``."""

    def fail(error: InputError) -> None:
        failed.append(error.message)
        print(visible(f"failed, matched by its own words: {error}"), file=sys.stderr)

    return fail


def _leave(failed: list[str]) -> None:
    if failed:
        raise typer.Exit(1)


def _contents(source: str) -> tuple[list[Content], Path]:
    """The contents, and the folder from which their relative media paths start."""
    from llmrec.match import unique_ids
    from llmrec.records import Content
    from llmrec.storage import read_records

    path = Path(source)
    if source == "-" or path.suffix.lower() in CONTENT_FILES:
        folder = Path.cwd() if source == "-" else path.parent
        return unique_ids(read_records(source, Content), source), folder
    if not path.exists():
        raise InputError(f"{path}: no such file", next_step="Give a contents file, a media file or '-'.")
    return [Content(path.stem, "video", media=path.name)], path.parent
