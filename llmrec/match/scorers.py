"""What can look a second time at a content and a product: one form for every kind of reranker.

==========================================  ==========================================================================
``adapter:minilm-pairs``, ``runs/pairs/…``  what ``llmrec finetune`` with ``task: rerank`` made (``PairReranker``)
a folder with ``trees.npz``                 boosted trees over pair features alone (``PairMatcher``)
any cross-encoder with one score            a sentence-transformers ``CrossEncoder``: a folder or a hub id
a language model, an adapter of one         says yes or no to the pair; ``openai:MODEL@URL`` as well
==========================================  ==========================================================================

::

    scorer = load_scorer("adapter:minilm-pairs")
    scorer.logits([({"title": "usb-c hub 5-in-1"}, Product("h5", "USB-C hub 5-in-1"))])     # float64[1]
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llmrec.errors import ArtefactError, ModelError
from llmrec.prompting.pair_blend import FEATURES, SETTINGS
from llmrec.prompting.pair_matcher import KIND as TREES
from llmrec.prompting.pair_matcher import PairMatcher
from llmrec.prompting.pair_question import offers_conversation
from llmrec.prompting.pairs import Offer, offer_fields
from llmrec.storage import sha256_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmrec.models import ModelFolder
    from llmrec.seams import Generator, Reranker

    Floats = NDArray[np.float64]

Pairs = Sequence[tuple[Offer, Offer]]
#: Logits beyond this say no more than that they are sure.
MOST = 12.0
SERVER = "openai:"


class Scorer(NamedTuple):
    """A reranker of any kind.

    Attributes:
        reference: How it was asked for.
        digest: Changes with all that its scores depend on.
        probable: Whether its logits are those of a probability that a pair is of one product, and cut where it is sure.
        ask: Scores of pairs (content, product), float ``[n]``, in input order.
    """

    reference: str
    digest: str
    probable: bool
    ask: Callable[[Pairs], Any]

    def logits(self, pairs: Pairs) -> Floats:
        """The scores, float64 ``[n]``; those of a probability are cut at ``MOST``.

        Raises:
            ModelError: It does not give one finite number for each pair.
        """
        if not pairs:
            return np.zeros(0)
        said = np.asarray(self.ask(pairs), dtype=np.float64)
        if said.shape != (len(pairs),) or not np.isfinite(said).all():
            step = "Give a reranker that scores a pair by one number."
            raise ModelError(f"{self.reference}: does not give one number for each pair", next_step=step)
        return np.clip(said, -MOST, MOST) if self.probable else said


def load_scorer(reference: str | Path, *, device: str | None = None) -> Scorer:
    """Load a reranker.

    Args:
        reference: See the table above.
        device: ``cpu``, ``cuda`` …; None: the library's choice.

    Raises:
        ArtefactError: A matcher of pairs that is damaged or of another version.
        ModelError: Unknown, unsafe, damaged, or nothing that scores pairs.
        GenerationError: A server that does not answer, when it is asked.
    """
    name = str(reference)
    if name.startswith(SERVER):
        from llmrec.llm import load_generator

        return of_generator(load_generator(name))
    if _manifest_kind(Path(name)) == TREES:
        return of_trees(PairMatcher.load(name), name, sha256_file(Path(name) / "manifest.json"))
    from llmrec.models import resolve
    from llmrec.models.adapters import read_config

    found = resolve(name)
    if (found.path / SETTINGS).is_file():
        return _of_pairs(found, device)
    if found.kind == "reranker":
        return _of_cross_encoder(found, device)
    if found.kind == "causal-lm" or (found.kind == "adapter" and read_config(found).task_type == "CAUSAL_LM"):
        return _of_language_model(found, device)
    step = "Give what 'llmrec finetune' with task: rerank made, a cross-encoder, or a language model."
    raise ModelError(f"{name}: is no reranker ({found.kind})", next_step=step)


def of_trees(matcher: PairMatcher, reference: str, digest: str) -> Scorer:
    """Trees over pair features."""
    return Scorer(reference, digest, True, matcher.logits)


def of_reranker(reranker: Reranker, reference: str) -> Scorer:
    """Any ``seams.Reranker``: it is given the texts of content and product."""
    return Scorer(reference, reference, False, lambda pairs: reranker.score(_texts(pairs)))


def of_generator(generator: Generator, *, hints: bool = False) -> Scorer:
    """A language model that is asked whether two offers are one product, yes or no."""
    from llmrec.llm.next_word import word_odds

    digest = str(getattr(generator, "digest", "") or generator.reference)

    def ask(pairs: Pairs) -> Floats:
        return word_odds(generator, [offers_conversation(left, right, hints=hints) for left, right in pairs])

    # an untrained model's yes is no probability; a trained one's is of pairs other than ours
    return Scorer(generator.adapter or generator.reference, f"{digest} hints={hints}", False, ask)


def _of_pairs(found: ModelFolder, device: str | None) -> Scorer:
    from llmrec.match.pair_reranker import PairReranker

    reranker = PairReranker.load(found.reference, device=device)
    trees = found.path / FEATURES / "manifest.json"
    parts = [found.digest, sha256_file(found.path / SETTINGS), *([sha256_file(trees)] if trees.is_file() else [])]

    def ask(pairs: Pairs) -> Floats:
        given = reranker.probability(pairs)
        return np.log(given) - np.log1p(-given)

    return Scorer(found.reference, hashlib.sha256("\0".join(parts).encode()).hexdigest(), True, ask)


def _of_cross_encoder(found: ModelFolder, device: str | None) -> Scorer:
    from llmrec.models.pair_encoder import load_pair_encoder

    encoder = load_pair_encoder(found, device=device)

    def ask(pairs: Pairs) -> Any:
        return encoder.predict(_texts(pairs), batch_size=32, show_progress_bar=False)

    return Scorer(found.reference, found.digest, False, ask)


def _of_language_model(found: ModelFolder, device: str | None) -> Scorer:
    from llmrec.llm import load_generator
    from llmrec.models.adapters import named_base
    from llmrec.recipes import load_recipe

    where = device or "auto"
    if found.kind != "adapter":
        return of_generator(load_generator(found.reference, device=where))
    recipe = found.path / "recipe.yaml"
    hints = load_recipe(recipe).rerank.hints if recipe.is_file() else False
    base, _ = named_base(found)
    if not base:
        step = "Give an adapter whose configuration names the model that it was trained on."
        raise ModelError(f"{found.reference}: names no model", next_step=step)
    return of_generator(load_generator(base, adapter=found.reference, device=where), hints=hints)


def _texts(pairs: Pairs) -> list[tuple[str, str]]:
    return [(offer_fields(left).text, offer_fields(right).text) for left, right in pairs]


def _manifest_kind(folder: Path) -> str:
    """What a folder's manifest says that it is; empty where it says nothing."""
    path = folder / "manifest.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("kind", "")) if path.is_file() else ""
    except (OSError, ValueError, AttributeError) as error:
        raise ArtefactError(f"{path}: damaged manifest ({error})", next_step="Make the folder again.") from error
