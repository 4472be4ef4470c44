"""A fake for each seam: small, deterministic, and true to what the seam promises."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from llmrec.records import Completion, Conversation, GenerationSettings, Hit, Query


class FakeGenerator:
    """Answers from a list, or by a function of the last message; remembers what it was asked."""

    reference = "fake:generator"
    adapter = None

    def __init__(self, answer) -> None:
        self._answer = answer if callable(answer) else lambda _text: answer
        self.asked: list[Conversation] = []

    def generate(self, conversations: Sequence[Conversation], settings: GenerationSettings) -> list[Completion]:
        self.asked.extend(conversations)
        texts = [self._answer(conversation[-1].content) for conversation in conversations]
        pairs = zip(conversations, texts, strict=True)
        return [Completion(t, "stop", len(c[-1].content.split()), len(t.split())) for c, t in pairs]


class FakeEncoder:
    """A hashed bag of words: texts that share words are near each other."""

    reference = "fake:encoder"

    def __init__(self, dimension: int = 64, salt: str = "") -> None:
        self.dimension, self.salt = dimension, salt
        self.digest = f"fake-{dimension}-{salt}"

    def encode(self, inputs: Sequence[str], *, kind: str = "document") -> np.ndarray:
        vectors = np.full((len(inputs), self.dimension), 1e-3, dtype=np.float32)
        for row, text in enumerate(inputs):
            for word in re.findall(r"\w+", text.lower()):
                slot = int.from_bytes(hashlib.sha256((self.salt + word).encode()).digest()[:4], "big")
                vectors[row, slot % self.dimension] += 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class FakeImageEncoder:
    """The mean colour of a picture; texts count their words red, green and blue."""

    reference, digest, dimension, joint = "fake:images", "fake-images", 3, True

    def encode_images(self, images: Sequence[Image]) -> np.ndarray:
        colours = [np.asarray(image.convert("RGB"), np.float32).mean(axis=(0, 1)) + 1e-3 for image in images]
        vectors = np.array(colours, np.float32).reshape(-1, 3)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        counts = [[text.lower().split().count(word) + 1e-3 for word in ("red", "green", "blue")] for text in texts]
        vectors = np.array(counts, np.float32).reshape(-1, 3)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class FakeCaptioner:
    """Names the strongest colour of a picture."""

    reference, digest = "fake:captions", "fake-captions"

    def caption(self, images: Sequence[Image]) -> list[str]:
        names = ("red", "green", "blue")
        return [f"a {names[int(np.asarray(i.convert('RGB')).mean(axis=(0, 1)).argmax())]} thing" for i in images]


class FakeRetriever:
    """Scores products by the number of shared words."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.words = {id: set(text.lower().split()) for id, text in texts.items()}

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        def hits(query: Query) -> list[Hit]:
            asked = set(query.text.lower().split())
            scored = [Hit(id, float(len(asked & words)), "fake") for id, words in self.words.items()]
            return sorted(scored, key=lambda hit: (-hit.score, hit.product_id))[:k]

        return [hits(query) for query in queries]


class FakeReranker:
    """Scores a pair by the share of the content's words that the product has."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        def share(left: str, right: str) -> float:
            words = left.lower().split()
            return sum(word in right.lower().split() for word in words) / max(len(words), 1)

        return np.array([share(*pair) for pair in pairs], dtype=np.float32)
