"""What a training recipe may say: strict, typed, and the same for every task.

Every key has a default that is safe to leave, but ``task``, ``model`` and ``data.train``. ``auto`` means that a key is
set from the method, the model and the machine; ``llmrec finetune RECIPE --dry-run`` prints what was chosen.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool

from llmrec.recipes.strict import Section


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``2e-4`` as a text: a number all the same. ``true`` is none."""
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def _words(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Float = Annotated[float, BeforeValidator(_number)]
Int = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]
Above = Annotated[float, BeforeValidator(_number), Field(gt=0)]
Auto = Literal["auto"]

TaskName = Literal["summarize", "embed", "rerank", "prefer"]
MethodName = Literal["lora", "rslora", "dora", "ia3", "prompt", "p-tuning", "prefix", "full"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8", "nf4"]

#: Methods that learn matrices beside the model's own, and those that learn virtual tokens before the text.
LOW_RANK: tuple[MethodName, ...] = ("lora", "rslora", "dora")
VIRTUAL_TOKENS: tuple[MethodName, ...] = ("prompt", "p-tuning", "prefix")


class Method(Section):
    """How the model is changed: which numbers are trained, and how many."""

    name: MethodName = "lora"
    #: Rank of the two small matrices (lora, rslora, dora).
    rank: Positive | None = None
    #: Scale of their product: ``alpha / rank``, with rslora ``alpha / sqrt(rank)``.
    alpha: Positive | None = None
    dropout: Share | None = None
    #: ``auto`` (as left out): what the method is best with; ``all-linear``: all but the head; ``attention``; or names.
    targets: Literal["auto", "all-linear", "attention"] | tuple[str, ...] | None = None
    #: First values: ``default`` starts as the model is; ``pissa`` and ``olora`` from its own singular vectors.
    init: Literal["default", "pissa", "olora", "orthogonal"] | None = None
    #: Virtual tokens (prompt, p-tuning, prefix).
    tokens: Positive | None = None
    #: Words that the virtual tokens start from (prompt, prefix).
    text: str | None = None
    #: Width of the network that makes the virtual tokens (p-tuning, prefix).
    hidden: Positive | None = None


class Data(Section):
    """Where the examples are and how much of each is read."""

    #: Files of examples; ``sample:NAME`` is a file of the shipped examples.
    train: Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1)]
    #: Examples that choose the checkpoint; without them ``dev_share`` of the training products is held out.
    dev: str | None = None
    dev_share: Annotated[float, BeforeValidator(_number), Field(ge=0, lt=1)] = 0.1
    #: Examples that are measured once, at the end, and choose nothing.
    test: str | None = None
    #: Catalog that ids in the examples refer to, and that retrieval is measured on.
    products: str | None = None
    #: Which products are right for which content; the files of examples then hold contents (embed).
    qrels: str | None = None
    #: Prompt that products are put into (summarize, prefer).
    prompt: str | None = None
    #: Most tokens of an example.
    max_tokens: Positive | Auto = "auto"
    #: What happens to a longer one.
    too_long: Literal["cut", "drop", "refuse"] = "cut"
    #: Only the first so many examples.
    limit: Positive | None = None


class Training(Section):
    """The steps: how many, how large, how fast."""

    epochs: Above = 3.0
    #: Ends the training sooner (or later) than ``epochs``.
    max_steps: Positive | None = None
    #: Examples of one update of the weights, over all processes.
    batch_size: Positive = 16
    #: Examples that go through the model at once; the rest is accumulated.
    micro_batch_size: Positive | Auto = "auto"
    learning_rate: Above | Auto = "auto"
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    #: Share of the steps over which the rate rises from nothing.
    warmup: Share = 0.06
    weight_decay: Annotated[float, BeforeValidator(_number), Field(ge=0)] = 0.0
    max_grad_norm: Above = 1.0
    optimizer: Literal["adamw", "adamw-8bit", "adafactor"] = "adamw"
    #: Batches of examples of like length: less padding.
    group_by_length: StrictBool = True
    #: Several examples in one row (summarize, on a GPU with variable-length attention).
    packing: StrictBool = False
    #: Half the memory for about 40% more time.
    gradient_checkpointing: StrictBool = False
    #: Compile the model's layers, for long trainings on a GPU; on a processor it shuts out our own faster step.
    compile: StrictBool = False
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    threads: Positive | Auto = "auto"
    #: A checkpoint after so many steps, or after each epoch.
    save_every: Positive | Literal["epoch"] = "epoch"
    #: Checkpoints that are kept, beside the best.
    keep: Positive = 2
    #: A line in the log after so many steps.
    log_every: Positive = 5
    #: Trackers passed on to transformers (``tensorboard``, ``wandb``, ``mlflow``, …).
    report_to: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    #: A DeepSpeed configuration file; FSDP is set by ``accelerate launch``.
    deepspeed: str | None = None


class Evaluation(Section):
    """When the dev examples are measured, by what, and when it is enough."""

    #: After so many steps, after each epoch, or only at the end.
    every: Positive | Literal["epoch", "end"] = "epoch"
    #: ``auto``: rougeL for summarize, mrr for embed, f1 for rerank, accuracy for prefer.
    metric: Literal["auto", "loss", "rougeL", "mrr", "ndcg@10", "recall@1", "recall@10", "f1", "accuracy"] = "auto"
    #: Evaluations without a better value after which the training ends; null: never.
    patience: Positive | None = 3
    #: Most examples that are measured during training; all are at the end.
    limit: Positive | None = 200
    #: Whether the untrained model is measured too.
    base: StrictBool = True
    #: Longest answer (summarize).
    max_new_tokens: Positive | None = None


class Embed(Section):
    """Contrastive training of an encoder."""

    #: Cosines are divided by this.
    temperature: Above = 0.05
    #: Hard negatives of each query, mined with the untrained model.
    hard_negatives: Annotated[int, Field(strict=True, ge=0)] = 0
    #: What ranks them: the model alone, or an index that searches words beside it.
    mine_with: Literal["vectors", "hybrid"] = "vectors"
    #: Ranks they are taken from: the first are often products that nobody has labelled yet.
    mine_from: Positive = 2
    mine_to: Positive = 30
    #: Products of the same batch that match the query too, or are this near to its own product, count for nothing. The
    #: cosine is that of the untrained model, without what its vectors of all products have in common.
    mask_false_negatives: StrictBool = True
    mask_above: Share = 0.95
    #: Texts that are held in memory at once while the batch may be as large as it likes (gradient cache).
    chunk: Positive | None = None
    #: Lengths at which the vectors are trained to work when they are cut.
    matryoshka: tuple[Positive, ...] = ()
    #: Whether products are also queries for their contents.
    symmetric: StrictBool = True
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    #: What is published: one encoder with the adapter merged in, as large as its base, or the adapter alone.
    save: Literal["merged", "adapter"] = "merged"


class Rerank(Section):
    """Training on pairs that match or do not."""

    #: A cross-encoder with a head of its own, or a language model that answers yes or no.
    kind: Literal["cross-encoder", "yes-no"] = "cross-encoder"
    #: Whether shared and differing tokens are told to the model beside the two texts.
    hints: StrictBool = True
    #: Whether boosted trees over the features of a pair (model numbers, sizes, prices) judge beside the cross-encoder.
    features: StrictBool = True
    #: Weight of matching pairs; ``auto``: balanced, at most 5.
    positive_weight: Above | Auto = 1.0
    #: Whether each pair is also seen with its sides swapped.
    swap: StrictBool = True
    #: Share of tokens that are dropped from a training pair.
    drop_tokens: Share = 0.0
    #: What a cross-encoder's folder holds: the whole model, or the adapter and the head alone.
    save: Literal["merged", "adapter"] = "merged"


class Prefer(Section):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290)."""

    beta: Above = 0.1
    loss: Literal["sigmoid", "hinge", "ipo", "apo_zero"] = "sigmoid"
    #: Weight of the plain loss on the preferred answer, which keeps it likely.
    sft_weight: Annotated[float, BeforeValidator(_number), Field(ge=0)] = 0.0


class Recipe(Section):
    """A training job. ``load_recipe`` reads one from a file."""

    task: TaskName
    about: str = ""
    model: Annotated[str, Field(min_length=1)]
    precision: Precision = "auto"
    device: str = "auto"
    method: Method = Method()
    data: Data
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    embed: Embed = Embed()
    rerank: Rerank = Rerank()
    prefer: Prefer = Prefer()
    #: Folder of the run: checkpoints, log, curves and, at the end, the adapter.
    output: Annotated[str, Field(min_length=1)] = "runs/latest"
