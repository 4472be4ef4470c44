"""Listings of a real shop spoken as a seller would, heard as a recogniser would: contents whose right product is known.

    abt.csv   Sony Turntable - PSLX350H, "Belt Drive System/ 33-1/3 and 45 RPM Speeds/ ..."
    speech    okay so welcome back / this is the sony turntabel / it has belt drive system / p s l x 350 h …
    screen    S0NY TURNTABLE PSLX350H
    chat      do you have the bose acoustimass?

Made by rule from a seed: one word in twelve is misheard, model numbers are spelt out, the screen shows a part of the
title with look-alike letters, and another product of the same shop is named in passing.
"""

from __future__ import annotations

import random
import re

from llmrec.records import Content, Product, TimedText

FILLERS = (
    "okay so welcome back everyone",
    "hit the follow button if you are new",
    "let me know in the chat where you watch from",
    "I have to say I was not sure at first",
    "my sister asked me about it all week",
    "you guys keep asking so here we go",
    "let me turn this around so you can see",
    "hold on let me fix the light",
    "it came in the mail yesterday",
    "honestly I did not expect that",
    "link is down below as always",
    "we only have a few left today",
    "shipping is free until midnight",
    "give me a second",
    "that is what I mean",
    "so yeah that is really it",
    "I have used it for three weeks now",
    "the packaging was fine by the way",
    "thank you for the gift",
    "tell me what you would use it for",
)
SHOWS = ("this is the {}", "so here we have the {}", "what I am holding is the {}", "I got the {}")
FACTS = ("it has {}", "you get {}", "and {}", "what I like is {}", "they say {}")
OTHERS = ("my old {} broke last year", "it is not like the {}", "last week we had the {}", "I also own the {}")
ASKS = ("do you have the {}?", "is it better than the {}?", "how much is shipping?", "hello from spain")
LOOKALIKES = {"O": "0", "I": "1", "S": "5", "B": "8", "l": "1", "e": "c", "n": "ri"}
MISHEARD, MISREAD, SECONDS_A_WORD = 1 / 12, 1 / 15, 0.4


def talk(product: Product, other: Product, rng: random.Random, start: float = 0.0) -> list[TimedText]:
    """Speech, screen text and chat about a product, about seventy words; ``other`` is named in passing."""
    name, model = named(product)
    facts = [part.strip() for part in re.split(r"[/;]|\.\s", product.description) if 2 < len(part.strip()) < 80]
    facts = [fact for fact in facts if fact.casefold() not in (product.title.casefold(), name.casefold())]
    rng.shuffle(facts)
    said = [rng.choice(SHOWS).format(name)]
    said += [rng.choice(FACTS).format(fact) for fact in facts[:3]]
    if model and rng.random() < 0.5:
        said.insert(1, f"the {spelt(model)}")
    if rng.random() < 0.7:
        said.insert(rng.randrange(1, len(said) + 1), rng.choice(OTHERS).format(named(other)[0]))
    for filler in rng.sample(FILLERS, 4):
        said.insert(rng.randrange(len(said) + 1), filler)
    pieces = []
    time = start
    for sentence in said:
        end = time + SECONDS_A_WORD * len(sentence.split())
        pieces.append(TimedText(round(time, 2), round(end, 2), misheard(sentence, rng), "speech"))
        time = end
    shown = misread(" ".join(part for part in product.title.split() if rng.random() < 0.7), rng)
    if shown:
        pieces.append(TimedText(start + 2, round(min(time, start + 9), 2), shown, "screen"))
    ask = rng.choice(ASKS).format(named(other)[0])
    pieces.append(TimedText(round(start + 5, 2), round(start + 5, 2), ask, "chat"))
    return sorted(pieces, key=lambda piece: piece.start)


def content(id: str, products: list[Product], others: list[Product], rng: random.Random) -> Content:
    """One clip, or a stream in which the products come one after the other."""
    pieces: list[TimedText] = []
    for product, other in zip(products, others, strict=True):
        pieces += talk(product, other, rng, max((piece.end for piece in pieces), default=0.0))
    kind = "live" if len(products) > 1 else "video"
    return Content(id, kind, title="you asked for it", timed_text=tuple(pieces))


def named(product: Product) -> tuple[str, str]:
    """A listing's name and model number: "Sony Turntable - PSLX350H"."""
    name, _, model = product.title.rpartition(" - ")
    return (name, model) if name else (product.title, "")


def spelt(model: str) -> str:
    """A model number as a recogniser writes it: "p s l x 350 h"."""
    return " ".join(" ".join(part) if part.isalpha() else part for part in re.findall(r"[a-z]+|\d+", model.lower()))


def misheard(sentence: str, rng: random.Random) -> str:
    """Some words of four letters or more with a letter lost, doubled, swapped or changed."""
    return " ".join(_slip(word, rng) if rng.random() < MISHEARD else word for word in sentence.lower().split())


def misread(text: str, rng: random.Random) -> str:
    """Some letters as the letters that they look like."""
    text = text.upper() if rng.random() < 0.5 else text
    return "".join(LOOKALIKES.get(char, char) if rng.random() < MISREAD * 3 else char for char in text)


def _slip(word: str, rng: random.Random) -> str:
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    changes = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        word[:at] + rng.choice("aeiourstn") + word[at + 1 :],
    )
    return rng.choice(changes)
