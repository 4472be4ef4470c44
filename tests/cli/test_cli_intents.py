"""``llmrec match --intent``: what the model is asked, with a server in a process of its own."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.index import Index
from llmrec.records import Content, Match, Product, TimedText
from llmrec.storage import read_records, write_records
from tests.llm.conftest import serve  # noqa: F401

runner = CliRunner()
PRODUCTS = [Product("K", "Kestrel gooseneck kettle"), Product("M", "Moss yoga mat"), Product("T", "tin toy train")]


def test_the_prompt_of_intents_can_be_chosen(tmp_path: Path, serve) -> None:  # noqa: F811
    Index.build(tmp_path / "index", PRODUCTS, None)
    pieces = (TimedText(0, 4, "my train", "speech"), TimedText(4, 6, "yoga mat, gooseneck kettle", "speech"))
    write_records(tmp_path / "contents.jsonl", [Content("c", "video", timed_text=pieces)], Content)
    server = serve()
    arguments = ["match", str(tmp_path / "contents.jsonl"), "--index", str(tmp_path / "index")]
    model = ["--intent", f"openai:m@{server.url}", "--intent-prompt"]
    done = runner.invoke(app, [*arguments, "-o", str(tmp_path / "m.jsonl"), *model, "shopping-intents"])
    assert done.exit_code == 0, done.output
    (asked,) = server.requests
    assert "Which products is this about?" in asked["body"]["messages"][-1]["content"]
    (match,) = read_records(tmp_path / "m.jsonl", Match)
    assert {product.product_id for product in match.products} == {"K", "M", "T"}
    wrong = runner.invoke(app, [*arguments, "-o", str(tmp_path / "n.jsonl"), *model, "nothing"])
    assert wrong.exit_code == 2 and "nothing: no such prompt" in wrong.output
    assert len(server.requests) == 1
