"""Summaries and intents through a fake model: order, batches, problems, resuming."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from llmrec.errors import GenerationError, InputError
from llmrec.prompting import load_prompt
from llmrec.records import (
    Completion,
    Content,
    GenerationSettings,
    Product,
    ProductSummary,
    PromptVersion,
    Support,
    TimedText,
)
from llmrec.summarize import IntentWriter, Summarizer, summary_text
from tests.fakes import FakeGenerator

PRODUCTS = [Product(str(i), f"Acme mat no {i}", description="Grippy mat.") for i in range(7)]


def answer(text: str) -> str:
    """Of the title in the data, a summary with a fact of the product's and one that is made up."""
    title = text.split("\n")[1]
    return f" mat\nAttributes: weight = 9 kg\nHighlights: grippy mat\nSummary: {title}."


def test_a_summary() -> None:
    model = FakeGenerator(lambda _: " mat\nAttributes: weight = 9 kg\nHighlights: grippy mat\nSummary: Acme mat no 0.")
    (summary,) = Summarizer(model, settings=GenerationSettings(max_new_tokens=7)).summarize(PRODUCTS[:1])
    assert summary == ProductSummary(
        product_id="0",
        headline="mat",
        summary="Acme mat no 0.",
        highlights=("grippy mat",),
        attributes={},
        support=(
            Support("mat", "title", 5, 8),
            Support("grippy mat", "description", 0, 10),
            Support("Acme mat no 0.", "title", 0, 13),
        ),
        model="fake:generator",
        adapter=None,
        prompt=PromptVersion("summarize-product", "1"),
        problems=("attributes: not in the product, dropped: weight = 9 kg",),
    )
    (asked,) = model.asked
    assert [message.role for message in asked] == ["system", "user", "assistant", "user", "assistant"]
    assert asked[3].content == "<data>\nAcme mat no 0\nGrippy mat.\n</data>\nSummarise this product."
    assert summary_text(summary) == "mat. Acme mat no 0. grippy mat"


class Counting(FakeGenerator):
    """Answers to the data, counts its calls, and may fail at one of them."""

    def __init__(self, fail_at: int = 0) -> None:
        super().__init__(lambda _: "")
        self.calls: list[int] = []
        self.fail_at = fail_at

    def generate(self, conversations, settings):
        self.calls.append(len(conversations))
        if len(self.calls) == self.fail_at:
            raise GenerationError("down", next_step="Wait.")
        return [Completion(answer(c[3].content), "stop", 1, 1) for c in conversations]


def test_batches_stream_in_order() -> None:
    model = Counting()
    stream = Summarizer(model).summarize(iter(PRODUCTS), batch_size=3)
    assert model.calls == []
    assert [s.product_id for s in islice(stream, 2)] == ["0", "1"]
    # no more is read or asked than is needed
    assert model.calls == [3]
    assert [s.summary for s in stream] == [f"Acme mat no {i}." for i in range(2, 7)]
    assert model.calls == [3, 3, 1]


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    first = Summarizer(Counting(fail_at=3))
    with pytest.raises(GenerationError), first.ledger(output) as ledger:
        list(first.summarize(PRODUCTS, 2, ledger))
    again = Summarizer(Counting())
    changed = [*PRODUCTS[:2], Product("2", "Acme mat no two"), *PRODUCTS[3:]]
    with again.ledger(output) as ledger:
        written = list(again.summarize(changed, 4, ledger))
        ledger.finish()
    assert [s.product_id for s in written] == list("0123456")
    # four were done; of these the third was changed since
    assert again.resumed == 3
    assert again.generator.calls == [1, 3]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["settings", "prompt", "model", "no resume"])
def test_what_was_written_otherwise_is_written_anew(tmp_path: Path, change: str) -> None:
    first = Summarizer(Counting())
    with first.ledger(tmp_path / "out") as ledger:
        list(first.summarize(PRODUCTS[:2], 2, ledger))
    settings, prompt, model = None, load_prompt("summarize-product"), Counting()
    if change == "settings":
        settings = GenerationSettings(max_new_tokens=9)
    if change == "prompt":
        prompt.digest = "other"
    if change == "model":
        model.digest = "other"
    again = Summarizer(model, prompt, settings)
    with again.ledger(tmp_path / "out", resume=change != "no resume") as ledger:
        assert len(list(again.summarize(PRODUCTS[:2], 2, ledger))) == 2
    assert again.resumed == 0


def test_what_the_model_did_not_see_is_said() -> None:
    class Cutting(Counting):
        def generate(self, conversations, settings):
            made = super().generate(conversations, settings)
            return [Completion(c.text, c.finish, 1, 1, truncated_prompt_tokens=5) for c in made]

    summarizer = Summarizer(Cutting())
    long = Product("1", "Acme mat", description="word " * 200)
    (summary,) = summarizer.summarize([long])
    # 200 words of 5 characters, less the last space, are 999; 399 of them and a mark fit into 400
    assert summary.problems[:2] == (
        "description: 600 characters of it left out of the prompt",
        "prompt: 5 tokens of it cut to fit the model",
    )
    assert summarizer.report.shortened == 1


def test_the_report_counts_by_kind() -> None:
    answers = iter(["", " mat\nSummary: Acme mat no 1.\nHighlights: red; green", " mat\nSummary: Acme mat no 2."])
    summarizer = Summarizer(FakeGenerator(lambda _: next(answers)))
    written = list(summarizer.summarize(PRODUCTS[:3], batch_size=1))
    assert [bool(s.summary) for s in written] == [False, True, True]
    assert summarizer.report.as_dict() == {
        "written": 3,
        "unreadable": 1,
        "ungrounded": 1,
        "shortened": 0,
        "problems": {
            "highlights: not in the product, dropped": 2,
            "unreadable: no field of the answer could be found": 1,
        },
    }


def test_intents_and_contents_without_words() -> None:
    contents = [
        Content("c1", "video", timed_text=(TimedText(2.0, 4.0, "the blue Acme mat", "speech"),)),
        Content("c2", "video", media="clip.mp4", timed_text=(TimedText(0, 1, " ! ", "screen"),)),
        Content("c3", "search", title="blue mat"),
    ]
    model = FakeGenerator(" mat\nSearch: blue mat\nBrand: Acme\nAttributes: colour = blue")
    writer = IntentWriter(model)
    (one,), (two,), (three,) = writer.intents(contents)
    assert (one.start, one.end, three.start, three.end) == (2.0, 4.0, None, None)
    assert (one.content_id, one.product_type, one.brand, one.query) == ("c1", "mat", "Acme", "blue mat")
    assert {(s.claim, s.text, s.start, s.end) for s in one.support} >= {("Acme", "Acme", 2.0, 4.0)}
    assert two.problems == ("unreadable: the content has no text",)
    assert (three.query, three.brand) == ("blue mat", "")
    assert len(model.asked) == 2
    assert "says: the blue Acme mat" in model.asked[0][3].content
    assert writer.report.unreadable == 1


def test_a_prompt_of_another_task_is_refused() -> None:
    with pytest.raises(InputError, match="task intent"):
        Summarizer(FakeGenerator(""), "shopping-intent")
    with pytest.raises(InputError, match="batch_size is 0"):
        next(Summarizer(FakeGenerator("")).summarize(PRODUCTS, batch_size=0))
