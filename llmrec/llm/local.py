"""A language model on this machine, through transformers.

::

    generator = load_generator("starter:smollm2-135m")
    generator.generate([(Message("user", "Name one fruit."),)], GenerationSettings(max_new_tokens=8))
    generator.usage   # Usage(conversations=1, prompt_tokens=37, new_tokens=8, truncated=0, seconds=…)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from llmrec.errors import GenerationError, InputError, ModelError
from llmrec.llm.batching import plan_batches
from llmrec.llm.chat import ChatEncoder
from llmrec.llm.decode import Prefix, can_decode, decode_batch
from llmrec.llm.hardware import choose_device, choose_dtype, choose_threads, torch_threads
from llmrec.llm.hf_decode import hf_decode_batch
from llmrec.llm.sampling import Chooser
from llmrec.llm.usage import Usage
from llmrec.models.quiet import quiet
from llmrec.records import Completion, Conversation, GenerationSettings

logger = logging.getLogger(__name__)

#: Ends of a turn that models of the usual families write; those that a tokenizer has are ends for its model.
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "</s>")


class TransformersGenerator:
    """A causal language model with its tokenizer. Greedy answers are the same alone and in a batch.

    Args:
        model: A transformers (or PEFT) causal language model.
        tokenizer: Its tokenizer.
        reference: How manifests and summaries name the model.
        adapter: How they name the adapter.
        digest: Digest of the weights.
        threads: Threads of torch while it generates.
        max_batch_tokens: Most tokens of a batch, padding and answers included.
        seed: Seed of sampling, added to the settings' own.
        break_loops: Whether a row that says the same over and over is led out of it.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        reference: str,
        adapter: str | None = None,
        digest: str = "",
        threads: int = 1,
        max_batch_tokens: int = 16384,
        seed: int = 0,
        break_loops: bool = True,
    ) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.reference, self.adapter, self.digest = reference, adapter, digest
        self.threads, self.max_batch_tokens, self.seed = threads, max_batch_tokens, seed
        self.break_loops = break_loops
        self.usage = Usage()
        self.context: int = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 4096
        self._chat = ChatEncoder(tokenizer)
        self._ends = _end_tokens(model, tokenizer)
        self._newline = _newline(tokenizer)
        self._prefix = Prefix()
        self._own_decoder = can_decode(model)
        # peft places a learned prompt before the padding and ignores positions: padding would change the answers
        self._learned_prompt = getattr(model, "active_peft_config", None) is not None

    def generate(self, conversations: Sequence[Conversation], settings: GenerationSettings) -> list[Completion]:
        """Answer each conversation; the answers come in input order.

        Raises:
            InputError: A conversation that does not fit the model even when its longest user message is cut.
            GenerationError: The machine ran out of memory.
        """
        import torch

        if not 0 < settings.max_new_tokens < self.context:
            step = f"Give a number from 1 to {self.context - 1}."
            raise InputError(f"max_new_tokens is {settings.max_new_tokens}", next_step=step)
        started = time.perf_counter()
        limit = self.context - settings.max_new_tokens
        encoded = [self._chat.encode(conversation, limit) for conversation in conversations]
        settings = msgspec.structs.replace(settings, seed=settings.seed + self.seed)
        prompts = [ids for ids, _cut in encoded]
        results: list[Completion | None] = [None] * len(prompts)
        with torch_threads(self.threads), torch.inference_mode():
            lengths = [len(prompt) for prompt in prompts]
            budget = self.max_batch_tokens
            for batch in plan_batches(lengths, settings.max_new_tokens, budget, padded=not self._learned_prompt):
                answers = self._answer([prompts[i] for i in batch], settings)
                for i, (text, finish, count) in zip(batch, answers, strict=True):
                    results[i] = Completion(text, finish, len(prompts[i]), count, encoded[i][1])
        done = [result for result in results if result is not None]
        self._count(done, time.perf_counter() - started)
        return done

    def _answer(self, prompts: list[list[int]], settings: GenerationSettings) -> list[tuple[str, Any, int]]:
        finished: dict[int, tuple[str, int]] = {}
        chooser = Chooser(prompts, settings, newline=self._newline, guard=self.break_loops)

        def end(row: int, tokens: list[int]) -> bool:
            if tokens[-1] in self._ends:
                finished[row] = (self._chat.decode(tokens[:-1]), len(tokens))
            elif chooser.hopeless(row):
                finished[row] = (self._chat.decode(tokens), len(tokens))
            elif settings.stop:
                text = self._chat.decode(tokens)
                places = [place for stop in settings.stop if (place := text.find(stop)) >= 0]
                if places:
                    finished[row] = (text[: min(places)], len(tokens))
            return row in finished

        common: dict[str, Any] = {
            "chooser": chooser,
            "max_new_tokens": settings.max_new_tokens,
            "end": end,
            "pad": self.tokenizer.pad_token_id or 0,
        }
        try:
            if self._own_decoder:
                answers = decode_batch(self.model, prompts, prefix=self._prefix, **common)
            else:
                answers = hf_decode_batch(self.model, prompts, **common)
        except (MemoryError, RuntimeError) as error:
            if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
                raise
            step = f"Lower max_batch_tokens (now {self.max_batch_tokens}) or take a smaller model."
            raise GenerationError(
                f"{self.reference}: out of memory on {len(prompts)} prompts", next_step=step
            ) from error
        self.usage.loops += chooser.loops
        out: list[tuple[str, Any, int]] = []
        for row, tokens in enumerate(answers):
            # the last token allowed may itself end the answer
            if row not in finished and not end(row, tokens):
                out.append((self._chat.decode(tokens), "length", len(tokens)))
            else:
                out.append((finished[row][0], "stop", finished[row][1]))
        return out

    def _count(self, done: list[Completion], seconds: float) -> None:
        cut = [c for c in done if c.truncated_prompt_tokens]
        if cut:
            tokens = sum(c.truncated_prompt_tokens for c in cut)
            logger.warning("%d of %d prompts were cut to fit the model, by %d tokens", len(cut), len(done), tokens)
        self.usage.add(done, seconds)


def load_local(
    path: Path,
    *,
    reference: str,
    digest: str,
    adapter: Path | None,
    adapter_reference: str | None,
    dtype: str,
    device: str,
    threads: int | None,
    max_batch_tokens: int,
    seed: int,
) -> TransformersGenerator:
    """Load a model folder, with a PEFT adapter folder on top when one is given.

    Raises:
        ModelError: Not a causal language model, damaged, or an adapter of another model or of pickled weights.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = choose_device(device)
    precision = choose_dtype(dtype, where)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        with quiet():
            both: Any = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=precision,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        model, loaded = both
        if loaded["missing_keys"]:  # transformers makes them up and goes on
            raise ValueError(f"without the weights {', '.join(sorted(loaded['missing_keys'])[:3])}")
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        step = "Give a causal language model with safetensors weights and its tokenizer (llmrec models list)."
        raise ModelError(f"{reference}: cannot be loaded as a language model: {reason}", next_step=step) from error
    if adapter is not None:
        model = _with_adapter(model, adapter, adapter_reference or str(adapter))
    return TransformersGenerator(
        model.to(where),
        tokenizer,
        reference=reference,
        adapter=adapter_reference,
        digest=digest,
        threads=choose_threads(threads),
        max_batch_tokens=max_batch_tokens,
        seed=seed,
    )


def _with_adapter(model: Any, adapter: Path, reference: str) -> Any:
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    weights = adapter / "adapter_model.safetensors"
    if not (adapter / "adapter_config.json").is_file() or not weights.is_file():
        step = "Give a PEFT adapter folder: adapter_config.json and adapter_model.safetensors."
        raise ModelError(f"{reference}: not an adapter with safetensors weights", next_step=step)
    try:
        config = PeftConfig.from_pretrained(str(adapter))
        with quiet():
            adapted: Any = PeftModel.from_pretrained(model, str(adapter), config=config, is_trainable=False)
        with safe_open(weights, "pt") as file:
            missing = sorted(set(get_peft_model_state_dict(adapted, save_embedding_layers=False)) - set(file.keys()))
        if missing:  # peft warns and goes on without them
            raise ValueError(f"without the weights {', '.join(missing[:3])}")
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        step = f"Give the model that the adapter was trained on{_base(adapter)}."
        raise ModelError(f"{reference}: does not fit this model: {reason}", next_step=step) from error
    if config.is_prompt_learning:
        return adapted
    # one matrix product in place of three, and the plain model's own decoder
    return adapted.merge_and_unload(safe_merge=True)


def _base(adapter: Path) -> str:
    import json

    name = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    return f" ({name})" if name else ""


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ends = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    known = {t.content: i for i, t in tokenizer.added_tokens_decoder.items()}
    ends |= {known[name] for name in TURN_ENDS if name in known}
    return {token for token in ends if token is not None}


def _newline(tokenizer: Any) -> int | None:
    ids = tokenizer.encode("\n", add_special_tokens=False)
    return ids[-1] if ids and tokenizer.decode(ids[-1:]) == "\n" else None
