"""One ranking from the rankings of a content's views.

Each view's scores come from the index already normalised per query, so they are summed by weight; a product that a
view did not return takes the lowest score that the view gave, since all that is known is that it scored no higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmrec.records import Hit

#: Weight of each group of views: all the words together are the most reliable query, single sources correct it. Near
#: to what a listwise softmax learns on made posts of four catalogs and on the sample, each held out in turn
#: (``eval/match_weights.py``): flat around here, so round. Likeness of pictures is told in deviations, a tenth of the
#: scores of words: at 3 it decides where words say little, and costs nothing where they name the product.
WEIGHTS: Mapping[str, float] = {
    "whole": 1.0,
    "screen": 0.5,
    # what was read on screen, by pieces of words: beside other sources (.5 cost a clip of 18), and alone (on rendered
    # titles, ``eval/print_study.py``: flat from 2 to 8)
    "print": 0.25,
    "label": 2.0,
    "speech": 0.5,
    "caption": 0.3,
    "chat": 0.1,
    "vision": 0.2,
    "pictures": 3.0,
    "title": 0.1,
    "window": 0.5,
    # the starter model's intents lowered recall from .3 on; a better model may deserve more
    "intent": 0.1,
}


def fuse_views(rankings: Sequence[tuple[str, Sequence[Hit]]], weights: Mapping[str, float] = WEIGHTS) -> list[Hit]:
    """Sum the views' scores by weight; of the views of one group the best counts for each product.

    Args:
        rankings: (group, hits best first) of each view.
        weights: Weight of each group; a group without one is left out.

    Returns:
        Every product found, best first, ties broken by id.
    """
    groups: dict[str, dict[str, float]] = {}
    floors: dict[str, float] = {}
    for group, hits in rankings:
        if not hits or group not in weights:
            continue
        scores = groups.setdefault(group, {})
        for hit in hits:
            scores[hit.product_id] = max(hit.score, scores.get(hit.product_id, hit.score))
        floors[group] = min(hits[-1].score, floors.get(group, hits[-1].score))
    everyone = {product_id for scores in groups.values() for product_id in scores}
    fused = {
        product_id: sum(weights[group] * scores.get(product_id, floors[group]) for group, scores in groups.items())
        for product_id in everyone
    }
    ordered = sorted(fused.items(), key=lambda item: (-item[1], item[0]))
    return [Hit(product_id, score, "match") for product_id, score in ordered]
