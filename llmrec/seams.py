"""The seams between the rooms: what each side may count on, and nothing more.

Whoever takes one of these takes a fake as well (``tests/fakes.py`` has one of each under thirty lines).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from llmrec.records import Completion, Conversation, GenerationSettings, Hit, Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@runtime_checkable
class Generator(Protocol):
    """A language model that answers conversations."""

    #: The model reference as it stands in manifests and summaries (``starter:smollm2-135m``).
    reference: str
    #: The adapter's reference, or None.
    adapter: str | None

    def generate(self, conversations: Sequence[Conversation], settings: GenerationSettings) -> list[Completion]:
        """Answer each conversation; the answers come in input order.

        Raises:
            GenerationError: The model or its server failed after retries.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """A model that turns texts into unit vectors."""

    #: The model reference as it stands in manifests (``starter:minilm``).
    reference: str
    #: Content digest of the weights and settings: two encoders with one digest give the same vectors.
    digest: str
    #: Length of the vectors.
    dimension: int

    def encode(self, inputs: Sequence[str], *, kind: str = "document") -> NDArray[np.float32]:
        """Encode texts into float32 ``[n, dimension]``, unit length, in input order.

        Args:
            inputs: The texts; an empty text gives a unit vector too.
            kind: ``"document"`` or ``"query"``: models trained with prefixes treat the two differently.
        """
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """A model that turns pictures into unit vectors, and texts too where ``joint`` says so."""

    #: The model reference as it stands in manifests.
    reference: str
    #: Content digest of the weights and settings: two encoders with one digest give the same vectors.
    digest: str
    #: Length of the vectors.
    dimension: int
    #: Whether ``encode_texts`` gives vectors of the same space (CLIP, SigLIP, a projected image tower).
    joint: bool

    def encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Encode RGB pictures into float32 ``[n, dimension]``, unit length, in input order."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into the space of the pictures, float32 ``[n, dimension]``, unit length, in input order.

        Raises:
            InputError: The encoder is not ``joint``.
        """
        ...


@runtime_checkable
class Captioner(Protocol):
    """A vision-language model that says what pictures show."""

    #: The model reference.
    reference: str
    #: Changes with all that the captions depend on beside the pictures.
    digest: str

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One line for each RGB picture, in input order; empty where it shows no product.

        Raises:
            GenerationError: The model or its server failed after retries.
        """
        ...


@runtime_checkable
class Retriever(Protocol):
    """Anything that finds products for queries."""

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        """Find at most ``k`` products for each query, best first, ties broken by product id.

        Raises:
            InputError: ``where`` cannot be used with this retriever.
        """
        ...


@runtime_checkable
class Reranker(Protocol):
    """A model that scores pairs of texts: (content text, product text)."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Score each pair, float32 ``[n]``; higher is a better match."""
        ...
