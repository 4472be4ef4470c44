"""A faster way to the same loss and gradients, for language models on a processor: a mixin over trl's ``SFTTrainer``.

Rows go through the model in one line without padding, and what they all begin with once (``ragged``); the head is
computed where an answer is trained and nowhere else; layers that are known are taken in fewer passes (``fused``). Where
any of it may not equal the library's own, the library's own is taken: before the first step both are tried on three
short rows, and loss and gradients compared.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmrec.train.tokens import IGNORED

logger = logging.getLogger(__name__)

#: How far the two ways may be apart, relative: rounding in float32, and in 16 bits and less.
CLOSE = {"loss": (1e-4, 2e-2), "gradient": (5e-3, 1e-1)}


class FastMixin:
    """Put before ``SFTTrainer``; takes the faster way wherever it is the same."""

    args: Any
    model: Any
    accelerator: Any
    compute_loss_func: Any
    label_smoother: Any

    _way: Way | None = None
    _decided = False

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        way = self._fast_way()
        if way is None:
            return super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        with way.taken():  # the backward pass may go through layers again (gradient checkpointing)
            return super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        way = self._fast_way()
        if way is None or return_outputs:
            return super().compute_loss(  # type: ignore[misc]
                model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
            )
        total, count = way.loss(model, inputs)
        if num_items_in_batch is None:
            return total / max(count, 1)
        # the count is of all processes, whose gradients are averaged
        shares = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        return total * shares / num_items_in_batch

    def _fast_way(self) -> Way | None:
        if not self._decided:
            self._decided = True
            bare = self.accelerator.unwrap_model(self.model)
            reason = self._why_not(bare)
            if reason is None:
                way = Way(bare)
                with self.compute_loss_context_manager():  # type: ignore[attr-defined]
                    reason = way.differs()
                self._way = way if reason is None else None
            if reason is not None:
                logger.info("the library's own training step is taken: %s", reason)
        return self._way

    def _why_not(self, bare: Any) -> str | None:
        """Why the faster way cannot be taken, or None."""
        base = bare.get_base_model() if hasattr(bare, "peft_config") else bare
        config, distributed = base.config, str(self.accelerator.distributed_type)
        reasons = {
            "not on a processor": self.accelerator.device.type != "cpu",
            "the model lies in parts": "FSDP" in distributed or "DEEPSPEED" in distributed,
            "the layers are compiled": self.args.torch_compile,
            "several examples in a row": self.args.packing,
            "another loss": self.compute_loss_func is not None or self.label_smoother is not None,
            "experts": getattr(self, "aux_loss_enabled", False),
            "virtual tokens over several processes": _virtual(bare) is not None and self.accelerator.num_processes > 1,
            "not a plain language model": config.get_text_config() is not config,
            "its own attention": config._attn_implementation != "sdpa",
            "a sliding window": bool(getattr(config, "sliding_window", None)),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)


class Way:
    """The faster way through one model."""

    def __init__(self, bare: Any) -> None:
        from torch.nn import Dropout

        from llmrec.train.ragged import register

        register()
        self.bare = bare
        self.base = bare.get_base_model() if hasattr(bare, "peft_config") else bare
        config = self.base.config
        dropped = any(isinstance(m, Dropout) and m.p > 0 for m in bare.modules())
        #: With dropout, what is computed once would be dropped alike in all rows.
        self.share = not dropped and not getattr(config, "attention_dropout", 0)
        self.virtual = _virtual(bare)
        head = self.base.get_output_embeddings()
        shaped = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier", "lm_head_multiplier")
        plain = type(head).__name__ == "Linear" and not any(getattr(config, name, None) for name in shaped)
        self.head = head if plain and not any(p.requires_grad for p in head.parameters()) else None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Layers and attention of the faster way, until the end; may be nested."""
        from llmrec.train.fused import fused
        from llmrec.train.ragged import ATTENTION

        config = self.base.config
        before = config._attn_implementation
        config._attn_implementation = ATTENTION
        try:
            with fused(self.bare):
                yield
        finally:
            config._attn_implementation = before

    def loss(self, model: Any, inputs: dict[str, Any]) -> tuple[Any, int]:
        """Sum of the cross-entropies of the trained tokens, and their number.

        Args:
            model: The model, or what a library has wrapped around it.
            inputs: ``input_ids``, ``attention_mask`` and ``labels``, ``[n, longest]``, padded on the right.
        """
        import torch
        from torch.nn.functional import cross_entropy

        from llmrec.train.fused import HeadLoss
        from llmrec.train.ragged import in_one_line

        count, prefix = (self.virtual.num_virtual_tokens, self._prefix()) if self.virtual else (0, False)
        line = in_one_line(inputs, share=self.share, **{"past" if prefix else "virtual": count})
        given = {"input_ids": line.input_ids, "position_ids": line.position_ids, "use_cache": False}
        # a mask of four dimensions is taken as it is: none is made
        given |= {"attention_mask": torch.ones(1, 1, 1, 1), "rows": line, "logits_to_keep": line.seen}
        if prefix:
            given["past_key_values"] = self.bare.get_prompt(batch_size=1)
        elif count:
            words = self.base.get_input_embeddings()(given.pop("input_ids"))
            given["inputs_embeds"] = torch.cat([self.bare.get_prompt(batch_size=1).to(words.dtype), words], dim=1)
        if count:
            model = self.base  # peft's own forward would drop the positions
        with self.taken(), self._without_head():
            out = model(**given).logits[0]
        if self.head is None:
            return cross_entropy(_wide(out), line.labels, reduction="sum"), len(line.labels)
        return HeadLoss.apply(out, self.head.weight, self.head.bias, line.labels), len(line.labels)

    def _prefix(self) -> bool:
        return self.virtual is not None and "PREFIX" in str(self.virtual.peft_type)

    @contextmanager
    def _without_head(self) -> Iterator[None]:
        """The model ends with what its head is given."""
        if self.head is None:
            yield
            return
        self.head.forward = lambda hidden: hidden
        try:
            yield
        finally:
            del self.head.forward

    def differs(self) -> str | None:
        """Try both ways on three short rows; why they are not the same, or None. Nothing is changed by it."""
        import torch

        if self.virtual is not None and not self.share:
            return "virtual tokens and dropout"
        inputs = _three_rows(int(self.base.get_input_embeddings().weight.shape[0]))
        trained = [p for p in self.bare.parameters() if p.requires_grad]
        training = self.bare.training
        self.bare.eval()
        try:
            with torch.enable_grad():
                theirs = _library_loss(self.bare, inputs)
                wanted = torch.autograd.grad(theirs, trained, allow_unused=True)
                with self.taken():
                    ours, _ = self.loss(self.bare, inputs)
                    found = torch.autograd.grad(ours, trained, allow_unused=True)
        except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            self.bare.train(training)
        wide = all(p.dtype == torch.float32 for p in self.bare.parameters()) and not torch.is_autocast_enabled("cpu")
        apart = abs(float(ours.detach()) / float(theirs.detach()) - 1)
        if not apart <= CLOSE["loss"][0 if wide else 1]:
            return f"the losses are {apart:.1e} apart"
        whole = sum(float(g.double().square().sum()) for g in wanted if g is not None)
        missing = any((a is None) != (b is None) for a, b in zip(wanted, found, strict=True))
        off = sum(
            float((a.double() - b.double()).square().sum())
            for a, b in zip(wanted, found, strict=True)
            if a is not None and b is not None
        )
        apart = (off / max(whole, 1e-30)) ** 0.5
        if missing or not apart <= CLOSE["gradient"][0 if wide else 1]:
            return f"the gradients are {apart:.1e} apart"
        return None


def _three_rows(vocabulary: int) -> dict[str, Any]:
    """Rows of 21, 17 and 15 tokens, 12 of them common, the last three of each trained."""
    import torch

    drawn = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (3, 21), generator=drawn)
    ids[:, :12] = ids[0, :12]
    places = torch.arange(21)[None]
    lengths = torch.tensor([[21], [17], [15]])
    labels = torch.where((places < lengths) & (places >= lengths - 3), ids, IGNORED)
    return {"input_ids": ids, "attention_mask": (places < lengths).long(), "labels": labels}


def _library_loss(model: Any, inputs: dict[str, Any]) -> Any:
    """Sum of the cross-entropies as the library comes to it."""
    from torch.nn.functional import cross_entropy

    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
    logits = logits[:, -inputs["input_ids"].shape[1] :]  # those of virtual tokens come before
    told = _wide(logits[:, :-1].flatten(0, 1))
    return cross_entropy(told, inputs["labels"][:, 1:].flatten(), ignore_index=IGNORED, reduction="sum")


def _virtual(bare: Any) -> Any | None:
    """The configuration of an adapter of virtual tokens, or None."""
    found = [c for c in getattr(bare, "peft_config", {}).values() if c.is_prompt_learning]
    return found[0] if found else None


def _wide(logits: Any) -> Any:
    """Float32 at least."""
    import torch

    return logits.to(torch.promote_types(logits.dtype, torch.float32))
