"""A vision-language model on this machine, by transformers: whatever ``AutoModelForImageTextToText`` loads.

Models that chat (SmolVLM, Qwen-VL, LLaVA, Gemma …) are asked the prompt; captioners without a chat template (BLIP, GIT)
are shown the picture alone. Pictures are prepared by Pillow, so that torchvision is not needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.errors import GenerationError, ModelError
from llmrec.llm.captions import MAX_NEW_TOKENS, SIDE, clean_caption
from llmrec.llm.hardware import choose_device, choose_dtype, choose_threads, torch_threads
from llmrec.models.quiet import quiet
from llmrec.storage import fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image


class LocalCaptioner:
    """Captions by a loaded model; make one with ``load_captioner``. Greedy, so that equal pictures are told alike."""

    def __init__(self, model: Any, processor: Any, *, reference: str, digest: str, threads: int, prompt: str) -> None:
        self.model, self.processor = model.eval(), processor
        self.reference, self.prompt, self.threads = reference, prompt, threads
        self.digest = fingerprint(digest, prompt, MAX_NEW_TOKENS, SIDE)
        self.chats = bool(getattr(processor, "chat_template", None))

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One line for each picture, in input order, one at a time; empty where it shows no product.

        Raises:
            GenerationError: The machine ran out of memory, or the model cannot take such pictures.
        """
        import torch

        out = []
        with torch_threads(self.threads), torch.inference_mode():
            for image in images:
                small = image.convert("RGB")
                small.thumbnail((SIDE, SIDE))
                try:
                    out.append(clean_caption(self._answer(small)))
                except (RuntimeError, ValueError, MemoryError) as error:
                    reason = str(error).strip().split("\n", 1)[0][:200]
                    step = "Take another or a smaller model; see that its folder is whole."
                    raise GenerationError(f"{self.reference}: cannot caption ({reason})", next_step=step) from error
        return out

    def _answer(self, image: Image) -> str:
        if self.chats:
            asked = [{"type": "image", "image": image}, {"type": "text", "text": self.prompt}]
            inputs = self.processor.apply_chat_template(
                [{"role": "user", "content": asked}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        else:
            inputs = self.processor(images=image, return_tensors="pt")
        inputs = inputs.to(self.model.device, dtype=self.model.dtype)
        given = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
        tokens = self.model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)[0].tolist()
        # an encoder-decoder gives the answer alone, a decoder what it was given as well
        if given and not self.model.config.is_encoder_decoder:
            tokens = tokens[given:]
        return self.processor.decode(tokens, skip_special_tokens=True)


def load_vision(reference: str, *, device: str, dtype: str, threads: int | None, prompt: str) -> LocalCaptioner:
    """Load a vision-language model by reference; arguments and errors as of ``load_captioner``."""
    from llmrec.models import resolve

    found = resolve(reference)
    return _load(found.path, found.reference, found.digest, device, dtype, threads, prompt)


def _load(
    path: Path, reference: str, digest: str, device: str, dtype: str, threads: int | None, prompt: str
) -> LocalCaptioner:
    from transformers import AutoModelForImageTextToText

    where = choose_device(device)
    kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = load_processor(path, kept)
        if not hasattr(processor, "image_processor"):
            raise ValueError("its processor takes no pictures")
        with quiet():
            both: Any = AutoModelForImageTextToText.from_pretrained(
                path, dtype=choose_dtype(dtype, where), use_safetensors=True, output_loading_info=True, **kept
            )
        model, loaded = both
        if loaded["missing_keys"]:  # transformers makes them up and goes on
            raise ValueError(f"without the weights {', '.join(sorted(loaded['missing_keys'])[:3])}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError) as error:
        reason = str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
        step = "Give a vision-language model with safetensors weights, its tokenizer and its processor's files."
        raise ModelError(
            f"{reference}: cannot be loaded as a vision-language model: {reason}", next_step=step
        ) from error
    return LocalCaptioner(
        model.to(where),
        processor,
        reference=reference,
        digest=digest,
        threads=choose_threads(threads),
        prompt=prompt,
    )


def load_processor(path: Path, kept: dict[str, Any]) -> Any:
    """The processor of a folder, its pictures prepared by Pillow; without its part for videos where that cannot load.

    Qwen-VL, SmolVLM and others bring a part for videos that wants torchvision, though pictures do without it.
    """
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(path, backend="pil", **kept)
    except ImportError as error:
        if "video" not in str(error).lower():
            raise
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    kind: Any = PROCESSOR_MAPPING[type(AutoConfig.from_pretrained(path, **kept))]

    class ForPictures(kind):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return (
                None
                if argument_name == "video_processor"
                else super().check_argument_for_proper_class(argument_name, argument)
            )

    settings, _ = kind.get_processor_dict(path, **kept)
    takes = inspect.signature(kind.__init__).parameters.keys() - set(kind.get_attributes()) - {"self", "kwargs"}
    tokenizer = AutoTokenizer.from_pretrained(path, **kept)
    own = {name: value for name, value in settings.items() if name in takes}
    return ForPictures(
        image_processor=AutoImageProcessor.from_pretrained(path, backend="pil", **kept),
        tokenizer=tokenizer,
        video_processor=None,
        **{"chat_template": tokenizer.chat_template, **own},
    )
