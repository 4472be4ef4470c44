"""Captions of pictures by any vision-language model.

::

    captioner = load_captioner("openai:Qwen/Qwen3-VL-8B@http://localhost:8000/v1")   # any OpenAI-compatible server
    captioner = load_captioner("HuggingFaceTB/SmolVLM2-500M-Video-Instruct")         # on this machine
    captioner.caption([image])          # ["A hand turns a yellow box of Camprodon butter biscuits, 350 g."]
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmrec.errors import InputError
from llmrec.llm.load import API_KEY, SERVER, load_generator
from llmrec.records import GenerationSettings, Message
from llmrec.seams import Captioner, Generator
from llmrec.storage import fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image

PROMPT = (
    "Name the product in this picture as a shop would: what it is, its brand and the words printed on it, its colour,"
    " material and size where they can be seen. One sentence, nothing that cannot be seen. If there is no product,"
    " answer: none"
)
#: Tokens of an answer, characters of a caption.
MAX_NEW_TOKENS, MAX_CHARS = 80, 300
#: Longer side in pixels of the pictures that are sent, and their JPEG quality.
SIDE, QUALITY = 768, 88

_THINKING = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_CONTROL = re.compile(r"<\|?/?[A-Za-z_]{1,20}\|?>|<\|[^<>|\n]{0,40}\|>")
_NONE = re.compile(
    r"(?:none|nothing|n/?a|no|no products?|there (?:is|are) no products?|no (?:visible )?products?)\b"
    r"(?: (?:in|is|are|visible|shown|here|this|the|picture|image|frame))*[\s.!]*",
    re.IGNORECASE,
)


class ServerCaptioner:
    """Asks a vision-language model behind a server, one picture a question, several at once.

    Args:
        generator: Takes messages with images (``OpenAIGenerator``).
        prompt: What is asked of each picture.
    """

    def __init__(self, generator: Generator, prompt: str = PROMPT) -> None:
        self.generator, self.prompt = generator, prompt
        self.reference = generator.reference
        self.digest = fingerprint(generator.reference, prompt, MAX_NEW_TOKENS, SIDE)

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One line for each picture, in input order; empty where it shows no product.

        Raises:
            GenerationError: The server kept failing, or refuses pictures.
        """
        asked = [(Message("user", self.prompt, (as_jpeg(image),)),) for image in images]
        answers = self.generator.generate(asked, GenerationSettings(max_new_tokens=MAX_NEW_TOKENS))
        return [clean_caption(answer.text) for answer in answers]


def load_captioner(
    reference: str,
    *,
    base_url: str | None = None,
    api_key_env: str = API_KEY,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    prompt: str = PROMPT,
) -> Captioner:
    """Load a vision-language model.

    Args:
        reference: ``openai:MODEL@http://host:port/v1``, or a folder or hub id of a model that transformers loads as
            ``AutoModelForImageTextToText``; with ``base_url`` the model's name on the server.
        base_url: The server's address, up to ``/v1``.
        api_key_env: Environment variable that holds the server's key.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        threads: Threads of torch for a local model.
        prompt: What is asked of each picture; a model without a chat template is asked nothing.

    Raises:
        ModelError: Unknown, unreachable, damaged, unsafe, or not a vision-language model.
        InputError: The address of the server is missing or none.
    """
    if not prompt.strip():
        raise InputError("the prompt for captions is empty", next_step="Leave it out, or give a sentence.")
    if reference.startswith(SERVER) or base_url:
        return ServerCaptioner(load_generator(reference, base_url=base_url, api_key_env=api_key_env), prompt)
    from llmrec.llm.vision import load_vision

    return load_vision(reference, device=device, dtype=dtype, threads=threads, prompt=prompt)


def clean_caption(text: str) -> str:
    """What a model answered as one line: no markup, no control characters, ``MAX_CHARS`` at most; "" for "none"."""
    text = _CONTROL.sub(" ", _THINKING.sub("", text[:8_000]))
    text = "".join(char if unicodedata.category(char)[0] != "C" else " " for char in text)
    line = " ".join(re.sub(r"[*_`#]{1,3}", "", text).split()).strip("\"'“” ")
    if _NONE.fullmatch(line) or not any(map(str.isalnum, line)):
        return ""
    if len(line) <= MAX_CHARS:
        return line
    head = line[:MAX_CHARS]
    whole = max(head.rfind(end) for end in (". ", "! ", "? "))
    return head[: whole + 1] if whole > MAX_CHARS // 3 else head.rpartition(" ")[0] or head


def as_jpeg(image: Image) -> bytes:
    """A picture as a JPEG file of ``SIDE`` pixels at most."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
