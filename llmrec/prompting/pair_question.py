"""Two offers as a question to a language model: are they the same product, yes or no?

::

    >>> pair_conversation("denon dvd3800bdci", "denon 2930ci")[0].content.splitlines()[-1]
    'Are these two offers the same product? Answer yes or no.'

``task: rerank`` with ``kind: yes-no`` trains a model on it, and ``llmrec.match`` asks it.
"""

from __future__ import annotations

from llmrec.prompting.pairs import Offer, pair_texts
from llmrec.prompting.untrusted import clean
from llmrec.records import Conversation, Message

QUESTION = "Are these two offers the same product? Answer yes or no."
YES, NO = "yes", "no"


def pair_conversation(left: str, right: str) -> Conversation:
    """The question about two offers; their texts are data between fences."""
    text = f"Offer A:\n<data>\n{left}\n</data>\nOffer B:\n<data>\n{right}\n</data>\n{QUESTION}"
    return (Message("user", text),)


def offers_conversation(left: Offer, right: Offer, *, hints: bool = False) -> Conversation:
    """The question about two offers as they are; ``hints`` as the model was trained with."""
    texts = pair_texts(left, right, hints=hints)
    return pair_conversation(clean(texts.left), clean(texts.right))
