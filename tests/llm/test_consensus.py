"""Minimum Bayes risk decoding: the answer that the others bear out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.llm import ConsensusGenerator
from llmrec.llm.consensus import _grams, chrf, consensus
from llmrec.records import Completion, Conversation, GenerationSettings, Message


class Drawing:
    """Answers by the seed: what a sampling model does, told beforehand."""

    reference, adapter, digest = "fake:drawing", None, "abc"

    def __init__(self, answers: list[str]) -> None:
        self.answers, self.asked = answers, list[GenerationSettings]()

    def generate(self, conversations: list[Conversation], settings: GenerationSettings) -> list[Completion]:
        self.asked.append(settings)
        text = self.answers[settings.seed % len(self.answers)]
        return [Completion(f"{c[0].content} {text}".strip(), "stop", 1, 1) for c in conversations]


ASK: list[Conversation] = [(Message("user", "a"),), (Message("user", "b"),)]


def test_the_answer_that_most_others_bear_out_wins() -> None:
    drawing = Drawing(["blue cotton shirt", "a drill with two batteries", "blue shirt of cotton", "blue cotton shirts"])
    answers = ConsensusGenerator(drawing, candidates=4).generate(ASK, GenerationSettings())
    assert [a.text for a in answers] == ["a blue cotton shirts", "b blue cotton shirts"]
    assert len({s.seed for s in drawing.asked}) == 4
    assert all(s.temperature > 0 for s in drawing.asked)


def test_one_candidate_changes_nothing() -> None:
    drawing = Drawing(["x"])
    alone = ConsensusGenerator(drawing, candidates=1)
    assert alone.generate(ASK, GenerationSettings())[0].text == "a x"
    assert drawing.asked == [GenerationSettings()]
    assert alone.digest == "abc"


def test_its_draws_are_part_of_what_it_is_known_by() -> None:
    digests = {ConsensusGenerator(Drawing(["x"]), candidates=n).digest for n in (1, 2, 8)}
    assert len(digests) == 3


def test_fewer_than_one_is_refused() -> None:
    with pytest.raises(InputError, match="candidates is 0"):
        ConsensusGenerator(Drawing(["x"]), candidates=0)


@pytest.mark.parametrize(
    ("found", "wanted", "score"),
    [
        ("the cat sat", "the cat sat down", 66.01764142221674),
        ("blue cotton shirt", "a blue shirt of cotton", 48.325928432546064),
        ("ab", "abcdefgh", 23.404255319148938),
    ],
)
def test_chrf_is_that_of_sacrebleu(found: str, wanted: str, score: float) -> None:
    # sacrebleu 2.6.0: CHRF().sentence_score(found, [wanted]).score
    assert 100 * chrf(_grams(found), _grams(wanted)) == pytest.approx(score)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_texts_have_a_consensus(texts: list[str]) -> None:
    assert texts[consensus(texts)] in texts


@given(st.text(), st.text())
def test_chrf_is_a_share_and_whole_for_equals(one: str, other: str) -> None:
    assert 0 <= chrf(_grams(one), _grams(other)) <= 1 + 1e-12
    assert chrf(_grams(one), _grams(one)) == pytest.approx(1)
