"""Posts whose sources differ in what they say: of each listing a clip in which some name it and others only chatter.

    title      wait for it!!            caption   link in bio, thank you all
    speech     okay so welcome back / the belt drive ist nice / let me fix the light
    screen     50NY -30%                chat      do you have the bose acoustimass?

For each source a state is drawn: absent, chatter (nothing about the product), part of what the listing says, or its
name. At least one source tells something. Words are misheard and letters misread as in ``noisy_talk``.
"""

from __future__ import annotations

import random
import re

from noisy_talk import ASKS, FACTS, FILLERS, SHOWS, misheard, misread, named

from llmrec.records import Content, Product, TimedText

HOOKS = [
    *("wait for it!!", "you asked for it", "part 2", "I was NOT expecting this", "best thing I bought this year"),
    *("unboxing day", "a haul that got out of hand", "come shopping with me", "this changed my mornings"),
]
SIGNS = [
    *("SALE -30%", "LINK IN BIO", "only today", "€ 29.99", "NEW", "swipe up", "DAY 3", "free shipping", "part 2"),
    "follow for more",
]
TAGS = ["fyp", "foryou", "haul", "unboxing", "musthave", "dailyvlog", "deal", "viral"]
NOTES = [
    *("link in bio, thank you all", "what should I try next? tell me below", "ad, all opinions are my own"),
    *("more of this on friday", "I read every comment", "filmed with my phone, sorry for the light"),
]
WANTED = ("where do I get the {}?", "is that the {}?", "I want the {}")

#: Chance of each state: absent, chatter, part, name.
STATES = {
    "speech": (0.15, 0.25, 0.30, 0.30),
    "screen": (0.25, 0.20, 0.30, 0.25),
    "chat": (0.40, 0.40, 0.10, 0.10),
    "title": (0.20, 0.40, 0.30, 0.10),
    "caption": (0.30, 0.30, 0.20, 0.20),
    "hashtags": (0.40, 0.30, 0.30, 0.00),
}
ABSENT, CHATTER, PART, NAME = range(4)
SECONDS_A_WORD = 0.4


def states(rng: random.Random) -> dict[str, int]:
    """The state of each source; one of the first four tells something."""
    while True:
        drawn = {source: rng.choices(range(4), chances)[0] for source, chances in STATES.items()}
        if max(drawn["speech"], drawn["screen"], drawn["title"], drawn["caption"]) >= PART:
            return drawn


def post(id: str, product: Product, other: Product, drawn: dict[str, int], rng: random.Random) -> Content:
    """A clip about a product; ``other`` is named in the chat."""
    name = " ".join(named(product)[0].split()[:8])
    pieces: list[TimedText] = []
    time = 0.0
    for sentence in _speech(product, drawn["speech"], rng):
        end = time + SECONDS_A_WORD * len(sentence.split())
        pieces.append(TimedText(round(time, 2), round(end, 2), misheard(sentence, rng), "speech"))
        time = end
    length = max(time, 12.0)
    for text in _screen(product, drawn["screen"], rng):
        start = rng.uniform(0, length - 3)
        pieces.append(TimedText(round(start, 2), round(start + 3, 2), misread(text, rng), "screen"))
    for text in _chat(name, named(other)[0], drawn["chat"], rng):
        start = round(rng.uniform(0, length), 2)
        pieces.append(TimedText(start, start, text, "chat"))
    return Content(
        id,
        "video",
        title=_written(product, drawn["title"], HOOKS, rng),
        caption=_written(product, drawn["caption"], NOTES, rng),
        hashtags=tuple(_tags(product, drawn["hashtags"], rng)),
        timed_text=tuple(sorted(pieces, key=lambda piece: piece.start)),
    )


def facts_of(product: Product) -> list[str]:
    """Short statements of a listing besides its name."""
    found = [part.strip() for part in re.split(r"[/;,]|\.\s", product.description) if 2 < len(part.strip()) < 80]
    return [fact for fact in found if fact.casefold() != product.title.casefold()]


def _speech(product: Product, state: int, rng: random.Random) -> list[str]:
    if state == ABSENT:
        return []
    said = rng.sample(FILLERS, 5)
    facts = facts_of(product)
    rng.shuffle(facts)
    words = product.title.split()
    if state == NAME:
        said.insert(rng.randrange(5), rng.choice(SHOWS).format(named(product)[0]))
    if state == PART:
        kept = [word for word in words if rng.random() < 0.4] or words[:1]
        said.insert(rng.randrange(5), rng.choice(FACTS).format(" ".join(kept)))
    if state >= PART:
        for fact in facts[:2]:
            said.insert(rng.randrange(len(said)), rng.choice(FACTS).format(fact))
    return said


def _screen(product: Product, state: int, rng: random.Random) -> list[str]:
    if state == ABSENT:
        return []
    shown = rng.sample(SIGNS, 2)
    share = {CHATTER: 0.0, PART: 0.35, NAME: 0.8}[state]
    words = [word for word in product.title.split() if rng.random() < share]
    return [*shown, *([" ".join(words)] if words else [])]


def _chat(name: str, other: str, state: int, rng: random.Random) -> list[str]:
    if state == ABSENT:
        return []
    lines = [rng.choice(ASKS).format(other), rng.choice(ASKS).format(other)]
    return lines + ([rng.choice(WANTED).format(name)] if state >= PART else [])


def _written(product: Product, state: int, hooks: list[str], rng: random.Random) -> str:
    words = product.title.split()
    if state == NAME:
        return named(product)[0]
    some = " ".join(rng.sample(words, min(2, len(words)))) if state == PART else ""
    return "" if state == ABSENT else f"{rng.choice(hooks)} {some}".strip()


def _tags(product: Product, state: int, rng: random.Random) -> list[str]:
    if state == ABSENT:
        return []
    own = re.findall(r"[A-Za-z]{3,}", product.title)[:4] if state >= PART else []
    return [*rng.sample(TAGS, 2), *rng.sample(own, min(2, len(own)))]
