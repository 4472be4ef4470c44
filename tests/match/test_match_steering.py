"""Rules at work: bans and caps hold, lists stay full, and what each rule did is told."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import InputError
from llmrec.evaluate import run_from_matches
from llmrec.index import Index
from llmrec.index.live.writing import IndexWriter
from llmrec.match import Calibration, Matcher, MatchSettings, Rules
from llmrec.match.decision import Bar, Decider, Linear
from llmrec.match.effects import deviation
from llmrec.match.signals import names_of
from llmrec.prompting.pair_features import PairFeatures
from llmrec.records import Content, Match, Price, Product, RankedProduct
from llmrec.storage import read_records, write_records
from tests.fakes import FakeEncoder

BRANDS, KINDS = ("Acme", "Globex", "Moss", ""), ("kettle", "mug", "pot")
PRODUCTS = [
    Product(
        f"{kind}-{i:02}",
        f"{colour} {kind} {i}",
        brand=BRANDS[i % 4],
        category=("Home", kind),
        extra={"availability": "in stock" if i % 10 == 0 else "out of stock"},
    )
    for kind in KINDS
    for i, colour in enumerate(["red", "blue", "green", "white", "black", "grey"] * 10)
]
BY_ID = {product.id: product for product in PRODUCTS}
ASKED = [
    Content("s", "search", title="blue kettle"),
    Content("l", "live", title="the red mug and the pot", caption="Acme mugs"),
    Content("p", "post", title="kettle or pot?"),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.build(tmp_path_factory.mktemp("shop") / "index", PRODUCTS, FakeEncoder())


def rules_of(*rules: dict[str, Any]) -> Rules:
    return Rules.model_validate({"version": 1, "rules": [{"name": f"r{i}", **rule} for i, rule in enumerate(rules)]})


def matched(index: Index, *rules: dict[str, Any], asked: list[Content] = ASKED, **how: Any) -> dict[str, Match]:
    # as deep as the catalog, so that lists of any length come from one and the same search
    settings = MatchSettings(rules=rules_of(*rules), **{"depth": len(PRODUCTS), **how})
    return {match.content_id: match for match in Matcher(index, settings=settings).match(asked)}


def ids(match: Match) -> list[str]:
    return [product.product_id for product in match.products]


def consistent(match: Match, plain: Match) -> None:
    """What is told of each product leads from its place without rules to its place and its score."""
    before = {product.product_id: product for product in plain.products}
    for product in match.products:
        steps = product.rules
        assert all(one.after == other.before for one, other in pairwise(steps))
        if steps:
            assert steps[-1].after == product.rank
        if (own := before.get(product.product_id)) is not None:
            assert own.rank == (steps[0].before if steps else product.rank)
            assert product.score == pytest.approx(own.score + sum(step.by or 0 for step in steps), abs=1e-6)
    # whoever reads the scores alone reads the same order
    ranked = sorted(match.products, key=lambda product: (-product.score, product.product_id))
    assert ranked == list(match.products)


def test_without_rules_nothing_is_otherwise(index: Index) -> None:
    assert list(matched(index, depth=100).values()) == list(Matcher(index).match(ASKED))


def test_what_is_banned_is_not_searched(index: Index) -> None:
    sold_out = {"action": "ban", "where": "in_stock exists and not in_stock"}
    for match in matched(index, sold_out, {"action": "ban", "where": 'brand == "Moss"'}).values():
        # of 180 these nine are left, and all are shown
        assert len(match.products) == 9
        assert all(BY_ID[id].extra["availability"] == "in stock" and BY_ID[id].brand != "Moss" for id in ids(match))
        assert not any(product.rules for product in match.products)
    found = matched(index, sold_out, where='title contains "kettle"')
    assert all(
        len(match.products) == 6 and set(ids(match)) <= {f"kettle-{i}0" for i in range(6)} for match in found.values()
    )


def test_a_rule_is_for_the_kinds_of_content_that_it_names(index: Index) -> None:
    plain = matched(index)
    found = matched(index, {"action": "ban", "where": 'title contains "mug"', "contents": "live"})
    assert all("mug" not in id for id in ids(found["l"])) and any("mug" in id for id in ids(plain["l"]))
    assert (found["s"], found["p"]) == (plain["s"], plain["p"])


def test_a_boost_moves_by_deviations_of_the_list(index: Index) -> None:
    plain = matched(index, k=180)
    unit = deviation([product.score for product in plain["s"].products])
    found = matched(index, {"action": "boost", "where": 'brand == "Moss"', "by": 0.5}, k=180)
    scores = {product.product_id: product.score for product in plain["s"].products}
    for product in found["s"].products:
        added = 0.5 * unit if BY_ID[product.product_id].brand == "Moss" else 0
        assert product.score == pytest.approx(scores[product.product_id] + added)
    consistent(found["s"], plain["s"])
    assert found["s"].products[0].rules or ids(found["s"])[0] == ids(plain["s"])[0]
    down = matched(index, {"action": "boost", "where": 'title contains "kettle"', "by": -500}, k=180)
    assert all("kettle" not in id for id in ids(down["s"])[:100])


def test_the_unit_of_boosts() -> None:
    # quartiles 2 and 4, however far ahead the first is
    assert deviation([99.0, 4.0, 3.0, 2.0, 1.0]) == pytest.approx(2 / 1.349)
    assert deviation([5.0, 4.0, 3.0, 2.0, 1.0]) == pytest.approx(2 / 1.349)
    # of 8, 2, 2, 2, 2 the middle half is the same, the standard deviation 2.4
    assert deviation([8.0, 2.0, 2.0, 2.0, 2.0]) == pytest.approx(2.4)
    assert deviation([2.0, 2.0, 2.0]) == deviation([2.0]) == deviation([]) == 1.0


def test_caps_give_place_to_the_next(index: Index) -> None:
    plain = matched(index, k=180)
    found = matched(index, {"action": "cap", "field": "brand", "most": 1}, k=6)
    for content in ASKED:
        brands = Counter(BY_ID[id].brand for id in ids(found[content.id]))
        assert all(count == 1 for brand, count in brands.items() if brand)
        assert ids(found[content.id])[0] == ids(plain[content.id])[0]
        consistent(found[content.id], plain[content.id])
    steps = [step for match in found.values() for product in match.products for step in product.rules]
    assert steps and all(step.action == "cap" and step.before > step.after and step.by is None for step in steps)


def test_a_cap_of_what_fits_a_filter(index: Index) -> None:
    found = matched(index, {"action": "cap", "where": 'brand == "Acme" and title contains "kettle"', "most": 1})
    for match in found.values():
        assert sum(BY_ID[id].brand == "Acme" and "kettle" in id for id in ids(match)) <= 1
        assert len(match.products) == 10


def test_a_list_that_caps_leave_short_is_searched_further(tmp_path: Path) -> None:
    # whoever asks for a kettle finds 300 of one brand before all others
    many = [Product(f"k{i:03}", f"kettle {i}", brand="Kestrel", category=("Kettles",)) for i in range(300)]
    others = [Product(f"m{i}", f"tin mug {i}", brand=f'"Brand" {i}', category=("Mugs > Tin",)) for i in range(6)]
    index = Index.build(tmp_path / "index", many + others, FakeEncoder())
    asked = [Content("c", "search", title="kettle")]
    assert all(id.startswith("k") for id in ids(matched(index, asked=asked, k=200)["c"]))
    match = matched(index, {"action": "cap", "field": "brand", "most": 2}, asked=asked, k=8)["c"]
    assert [id[0] for id in ids(match)] == ["k"] * 2 + ["m"] * 6
    assert [step.action for step in match.products[2].rules] == ["cap"]
    both = matched(
        index,
        {"action": "cap", "field": "brand", "most": 3},
        {"action": "cap", "field": "category", "most": 2},
        asked=asked,
    )
    assert [id[0] for id in ids(both["c"])] == ["k"] * 2 + ["m"] * 2


some = st.sampled_from
caps = st.builds(
    lambda field, most: {"action": "cap", "field": field, "most": most}, some(["brand", "category"]), st.integers(1, 4)
)
bans = st.builds(
    lambda where: {"action": "ban", "where": where},
    some(['brand == "Acme"', "brand missing", 'category under "pot"', 'title contains "blue"', "in_stock"]),
)
boosts = st.builds(
    lambda where, by: {"action": "boost", "where": where, "by": by},
    some(['brand == "Moss"', 'title contains "red"', 'category under "mug"']),
    some([-3.0, -0.2, 0.1, 1.0, 4.0]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(caps | bans | boosts, max_size=5), some([0.0, 0.3, 0.8]), st.integers(1, 12), some([15, 180]), some(ASKED)
)
def test_what_always_holds(
    index: Index, rules: list[dict[str, Any]], diversity: float, k: int, depth: int, content: Content
) -> None:
    how = {"k": k, "diversity": diversity, "depth": depth}
    (match,) = matched(index, *rules, asked=[content], **how).values()
    allowed = set(index.ids_where(rules_of(*rules).allowed(content.kind)))
    assert set(ids(match)) <= allowed and len(set(ids(match))) == len(match.products)
    counts = {field: Counter(getattr(BY_ID[id], field) for id in ids(match)) for field in ("brand", "category")}
    for rule in rules:
        if rule["action"] == "cap":
            assert all(n <= rule["most"] for value, n in counts[rule["field"]].items() if value)
    # full, unless what is allowed is not enough: a product that is left must be one that a cap leaves out
    if len(match.products) < k:
        most = {field: min((r["most"] for r in rules if r.get("field") == field), default=999) for field in counts}
        for id in allowed - set(ids(match)):
            values = {field: getattr(BY_ID[id], field) for field in counts}
            assert any(value and counts[field][value] >= most[field] for field, value in values.items()), id
    # again, and in company: the same list
    again = matched(index, *rules, **how)
    assert again[content.id] == match
    plain = matched(index, *(rule for rule in rules if rule["action"] == "ban"), asked=[content], k=180)
    if depth == 180:
        consistent(match, plain[content.id])
    if depth == 180 and not any(rule["action"] == "boost" for rule in rules):
        assert ids(match)[:1] == ids(plain[content.id])[:1]


def test_a_product_that_changes_is_seen_as_it_is(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", PRODUCTS[:8], FakeEncoder())
    boost = rules_of({"action": "boost", "where": 'brand == "Moss"', "by": 9.0})
    matcher = Matcher(index, settings=MatchSettings(rules=boost))
    asked = [Content("c", "search", title="red kettle 0")]
    before = next(matcher.match(asked))
    assert set(ids(before)[:2]) == {"kettle-02", "kettle-06"}
    IndexWriter(index.path, FakeEncoder()).put([msgspec.structs.replace(PRODUCTS[0], brand="Moss")])
    assert next(matcher.match(asked)) == before
    assert ids(next(matcher.latest().match(asked)))[0] == "kettle-00"


def test_a_filter_that_the_catalog_cannot_answer_is_told_before_anything_is_matched(tmp_path: Path) -> None:
    priced = [Product(c, "mug", price=Price(2.0, c)) for c in ("EUR", "USD")]
    index = Index.build(tmp_path / "index", priced, None)
    rules = rules_of({"action": "boost", "where": "price < 3", "by": 1.0})
    with pytest.raises(InputError, match=r"rule 'r0': the catalog has prices in") as caught:
        Matcher(index, settings=MatchSettings(rules=rules))
    assert "price < 3 EUR" in caught.value.next_step


def test_diversity_shows_more_kinds_and_keeps_the_first(index: Index) -> None:
    plain, found = matched(index), matched(index, diversity=0.5)
    for content in ASKED:
        assert ids(found[content.id])[0] == ids(plain[content.id])[0]
        consistent(found[content.id], plain[content.id])
    assert ids(found["s"]) != ids(plain["s"])
    alike = [float(index.likeness(ids(own["s"])).mean()) for own in (plain, found)]  # type: ignore[union-attr]
    assert alike[1] < alike[0]
    with pytest.raises(InputError, match="diversity=1"):
        Matcher(index, settings=MatchSettings(diversity=1.0))


def sure(index: Index, logit: float) -> Calibration:
    """A calibration that says the same of every list."""
    flat = Linear((), (), (), (), logit)
    names = names_of(index.parts, pairs=True)
    decider = Decider(names, flat, Linear((), (), (), (), -9.0), (Bar(0.9, 0.8, 1.0),), {"contents": 60.0}, ())
    return Calibration(decider, PairFeatures.fit(PRODUCTS), index.parts, index.encoder_digest)


def test_a_probability_stays_with_its_product(index: Index) -> None:
    boost = MatchSettings(rules=rules_of({"action": "boost", "where": 'brand == "Globex"', "by": 9.0}))
    asked = [Content("c", "search", title="red kettle 0")]
    (plain,) = Matcher(index, calibration=sure(index, 3.0)).match(asked)
    first = plain.products[0]
    assert first.product_id == "kettle-00" and first.probability == pytest.approx(0.9526, abs=1e-4)
    (moved,) = Matcher(index, settings=boost, calibration=sure(index, 3.0)).match(asked)
    assert BY_ID[moved.products[0].product_id].brand == "Globex"
    # of a product that a rule has put first nothing is known
    told = {product.product_id: product.probability for product in moved.products}
    assert all(told[id] == (first.probability if id == first.product_id else None) for id in told)
    # the promise of a precision is one of the first product: it stays first where it is sure enough
    promised: dict[str, Any] = {"settings": boost, "min_precision": 0.9}
    (held,) = Matcher(index, calibration=sure(index, 3.0), **promised).match(asked)
    assert held.products[0].product_id == first.product_id and held.no_match.decision is False
    assert held.products[0].probability == first.probability
    assert [step.action for step in held.products[0].rules] == ["boost", "hold"]
    assert held.products[0].rules[-1].after == 1
    consistent(held, plain)
    (doubted,) = Matcher(index, calibration=sure(index, 0.0), **promised).match(asked)
    assert BY_ID[doubted.products[0].product_id].brand == "Globex" and doubted.no_match.decision is True


@pytest.mark.parametrize("name", ["m.jsonl", "m.parquet"])
def test_effects_round_trip(index: Index, tmp_path: Path, name: str) -> None:
    rules = ({"action": "boost", "where": 'brand == "Moss"', "by": 1.0}, {"action": "cap", "field": "brand", "most": 2})
    matches = [*matched(index, *rules, diversity=0.3).values(), *matched(index).values()]
    assert any(product.rules for match in matches for product in match.products)
    write_records(tmp_path / name, matches, Match)
    assert list(read_records(tmp_path / name, Match)) == matches


def test_on_the_wire_effects_are_absent_where_there_are_none(index: Index, tmp_path: Path) -> None:
    bare = RankedProduct("p", 1, 2.0)
    write_records(tmp_path / "m.jsonl", [Match("c", (bare,))], Match)
    (product,) = json.loads((tmp_path / "m.jsonl").read_text())["products"]
    assert product == {"product_id": "p", "rank": 1, "score": 2.0, "probability": None, "evidence": [], "shown": []}
    (match,) = matched(
        index, {"action": "boost", "where": 'title contains "2"', "by": 0.3}, asked=ASKED[:1], k=20
    ).values()
    write_records(tmp_path / "m.jsonl", [match], Match)
    told = json.loads((tmp_path / "m.jsonl").read_text())["products"]
    steps = [step for product in told for step in product.get("rules", ())]
    assert {tuple(step) for step in steps} == {
        ("rule", "action", "before", "after"),
        ("rule", "action", "before", "after", "by"),
    }


def test_the_command(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Index.build(tmp_path / "index", PRODUCTS, None)
    write_records(tmp_path / "contents.jsonl", ASKED, Content)
    file, output = tmp_path / "rules.yaml", tmp_path / "m.jsonl"
    # as if each run had been interrupted before its end
    monkeypatch.setattr("llmrec.storage.ledger.Ledger.finish", lambda self: None)

    def run(*more: str) -> tuple[int, str]:
        command = ["match", str(tmp_path / "contents.jsonl"), "--index", str(words.path), "-o", str(output), "--json"]
        done = CliRunner().invoke(app, [*command, *more])
        return done.exit_code, done.output

    def resumed(*more: str) -> int:
        code, told = run(*more)
        assert code == 0, told
        return int(json.loads(told[told.index("{") :])["resumed"])

    rule = "- {name: cap, action: cap, field: brand, most: 1}\n"
    assert (resumed(), resumed()) == (0, 3)
    file.write_text(f"version: 1\nrules:\n{rule}")
    assert (resumed("--rules", str(file)), resumed("--rules", str(file))) == (0, 3)
    assert (resumed("--rules", str(file), "--diversity", ".3"), resumed("--rules", str(file))) == (0, 0)
    file.write_text(f"version: 1\nrules:\n{rule.replace('1}', '2}')}")
    assert resumed("--rules", str(file)) == 0
    for match in read_records(output, Match):
        assert max(Counter(BY_ID[id].brand for id in ids(match) if BY_ID[id].brand).values(), default=0) <= 2
    run_from_matches(read_records(output, Match))
    file.write_text(f"version: 1\nrules:\n{rule}- {{name: x, action: ban, where: colour == 1}}\n")
    code, told = run("--rules", str(file))
    assert code == 2 and "line 4: rule 'x': where:" in told
    file.write_text("version: 1\nrules:\n- {name: x, action: ban, where: title exists}\n")
    assert "warning: the rules leave no product of" in run("--rules", str(file))[1]
    merged = CliRunner().invoke(
        app, ["match", "-", "--index", str(words.path), "-o", "-", "--merge", "--diversity", ".2"]
    )
    assert merged.exit_code == 2 and "do not last" in merged.output


def test_a_set_of_answers_is_not_cut_from_what_rules_move(index: Index) -> None:
    boost = rules_of({"where": 'brand == "Acme"', "action": "boost", "by": 1})
    for how in ({"diversity": 0.3}, {"rules": boost}):
        with pytest.raises(InputError, match="which rules move"):
            Matcher(index, alpha=0.1, settings=MatchSettings(**how))
    ban = rules_of({"where": 'brand == "Acme"', "action": "ban"})
    with pytest.raises(InputError, match="calibration"):
        Matcher(index, alpha=0.1, settings=MatchSettings(rules=ban))
