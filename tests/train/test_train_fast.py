"""The faster training step: the same loss, gradients and weights as the libraries' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llmrec.recipes import Recipe
from llmrec.train import fast
from llmrec.train.chosen import Chosen, fitted
from llmrec.train.fast import Way, _library_loss
from llmrec.train.fused import GatedProduct, HeadLoss, LowRank, RootMeanSquare, fused
from llmrec.train.ragged import in_one_line
from llmrec.train.tokens import Tokens, collate, common_beginning

VIRTUAL = ("method.name=prompt", "method.tokens=4", "method.rank=null", "training.learning_rate=0.01")
PREFIX = ("method.name=prefix", "method.tokens=9", "method.rank=null", "training.learning_rate=0.01")
SIZES: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip


def made(kind: str = "llama", **more: Any) -> Any:
    import transformers

    names = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    torch.manual_seed(0)
    config = getattr(transformers, f"{names[kind]}Config")(**{**SIZES, **more})
    return transformers.AutoModelForCausalLM.from_config(config)


def adapted(model: Any, method: str, **more: Any) -> Any:
    import peft

    low_rank: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
    configs: dict[str, Callable[[], Any]] = {
        "lora": lambda: peft.LoraConfig(task_type="CAUSAL_LM", **low_rank, **more),
        "dora": lambda: peft.LoraConfig(task_type="CAUSAL_LM", use_dora=True, **low_rank, **more),
        "ia3": lambda: peft.IA3Config(
            task_type="CAUSAL_LM", target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
        "prompt": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "p-tuning": lambda: peft.PromptEncoderConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=12, encoder_hidden_size=32
        ),
        "prefix": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=6),
    }
    if method == "full":
        return model
    model = peft.get_peft_model(model, configs[method]())
    torch.manual_seed(1)
    for parameter in model.parameters():  # a new adapter changes nothing, and hides what is wrong with it
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def batch(shared: int) -> dict[str, Any]:
    """Rows of many lengths, ``shared`` tokens alike at their beginning; a trained token in the middle of one."""
    drawn = torch.Generator().manual_seed(2)
    begin = torch.randint(3, 300, (shared,), generator=drawn).tolist()
    rows = []
    for length, answer in ((30, 4), (11, 1), (19, 12), (19, 2)):
        ids = begin + torch.randint(3, 300, (length,), generator=drawn).tolist()
        labels = [-100] * (len(ids) - answer) + ids[-answer:]
        rows.append({"input_ids": ids, "labels": labels})
    rows[0]["labels"][shared + 5] = rows[0]["input_ids"][shared + 5]
    return collate(rows, 2)


def gradients(model: Any, loss: Any) -> dict[str, Any]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_rows_in_one_line() -> None:
    begin = list(range(10, 18))
    rows = [
        {"input_ids": [*begin, 1, 2, 3], "labels": [-100] * 9 + [2, 3]},
        {"input_ids": [*begin, 4], "labels": [-100] * 8 + [4]},
        {"input_ids": [*begin, 5, 6], "labels": [-100] * 8 + [5, -100]},
    ]
    line = in_one_line(collate(rows, 0))
    assert line.input_ids.tolist() == [[*begin, 1, 2, 3, 4, 5, 6]]
    assert line.position_ids.tolist() == [[*range(8), 8, 9, 10, 8, 8, 9]]
    assert (line.shared, line.sizes) == (8, [8, 3, 1, 2])
    # 2 is told from 1 (at 8), 3 from 2 (at 9); 4 and 5 from the end of what all begin with
    assert line.seen.tolist() == [8, 9, 7, 7]
    assert line.labels.tolist() == [2, 3, 4, 5]
    inf = float("inf")
    mask = [[0.0] * 9 + [-inf, -inf], [0.0] * 10 + [-inf], [0.0] * 11]
    assert line.mask(3, 8, torch.zeros(1)).tolist() == mask
    apart = in_one_line(collate(rows, 0), share=False)
    assert apart.sizes == [11, 9, 10]
    assert apart.seen.tolist() == [8, 9, 11 + 7, 20 + 7]


@pytest.mark.parametrize(
    ("rows", "shared"),
    [
        ([[1, 2, 3, 4, 5, 6, 7, 9, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9]], 0),  # 7 alike: too few
        ([[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9]], 8),  # the last of a row stays in it
        ([[1, 2, 3, 4, 5, 6, 7, 8, 9]], 0),
    ],
)
def test_what_is_shared(rows: list[list[int]], shared: int) -> None:
    given = [{"input_ids": row, "labels": [-100] * (len(row) - 1) + row[-1:]} for row in rows]
    assert in_one_line(collate(given, 0)).shared == shared


def test_trained_tokens_are_never_shared() -> None:
    rows = [{"input_ids": list(range(20)), "labels": [-100] * 10 + list(range(10, 20))} for _ in range(2)]
    assert in_one_line(collate(rows, 0)).shared == 10


def test_micro_batches_grow_where_examples_are_short_or_alike() -> None:
    left = Chosen("cpu", "fp32", 5e-4, 2, 8, 1, 1024, "rougeL", 1)
    assert (left.micro_batch_size, left.accumulation) == (2, 8)
    # 330 + 4 x 270 = 1,410 of 2,048 tokens; 8 rows would be 2,490
    grown = fitted(left, longest=600, shared=330)
    assert (grown.micro_batch_size, grown.accumulation) == (4, 4)
    assert fitted(left, longest=128, shared=0).micro_batch_size == 16
    assert fitted(left, longest=1024, shared=0) == left


def test_common_beginning() -> None:
    def tokens(*ids: int) -> Tokens:
        return Tokens(list(ids), [-100] * (len(ids) - 1) + [ids[-1]])

    assert common_beginning([tokens(1, 2, 3, 4), tokens(1, 2, 5, 6), tokens(1, 2, 3, 9)]) == 2
    assert common_beginning([tokens(1, 2, 3, 4), tokens(1, 2, 3, 4)]) == 3  # the trained one stays
    assert common_beginning([tokens(1, 2), tokens(2, 2)]) == 0


def test_virtual_tokens_are_the_beginning_of_every_row() -> None:
    rows = [
        {"input_ids": [10, 11, 1, 2], "labels": [-100, -100, -100, 2]},
        {"input_ids": [10, 11, 3, 4, 5], "labels": [-100, -100, 3, -100, 5]},
    ]
    line = in_one_line(collate(rows, 0), virtual=7)
    assert line.input_ids.tolist() == [[10, 11, 1, 2, 3, 4, 5]]
    assert line.position_ids.tolist() == [[*range(9), 9, 10, 9, 10, 11]]
    assert (line.shared, line.sizes, line.past) == (9, [9, 2, 3], 0)
    # 2 is told from 1 (at 9), 3 from 11 (at 8, what all begin with), 5 from 4 (at 12)
    assert line.seen.tolist() == [9, 8, 12]
    few = in_one_line(collate(rows, 0), virtual=5)
    assert (few.shared, few.sizes) == (5, [5, 4, 5])
    before = in_one_line(collate(rows, 0), past=7)
    assert before.position_ids.tolist() == [[7, 8, 9, 10, 7, 8, 9, 10, 11]]
    assert (before.shared, before.sizes, before.past) == (0, [4, 5], 7)
    assert before.seen.tolist() == [2, 5, 7]


@pytest.mark.parametrize("shared", [0, 40])
@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "full", "prompt", "p-tuning", "prefix"])
def test_loss_and_gradients_are_the_librarys(method: str, shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    def norm(self: Any, x: Any) -> Any:  # the library's goes down to float32
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    monkeypatch.setattr(LlamaRMSNorm, "forward", norm)
    model = adapted(made(), method).double()
    inputs = batch(shared)
    theirs = _library_loss(model, inputs)
    wanted = gradients(model, theirs)
    way = Way(model)
    with way.taken():
        ours, count = way.loss(model, inputs)
        found = gradients(model, ours)
    assert count == 4 + 1 + 12 + 2 + 1
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-9, atol=1e-11)
    assert model.config._attn_implementation == "sdpa"
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_other_models_in_float32(kind: str) -> None:
    model = adapted(made(kind), "lora")
    way = Way(model)
    assert way.differs() is None
    with way.taken():
        ours, _ = way.loss(model, batch(20))
    assert ours.item() == pytest.approx(_library_loss(model, batch(20)).item(), rel=1e-5)


def test_bfloat16_is_as_near_to_float32_as_the_librarys() -> None:
    inputs = batch(20)
    model = adapted(made(), "lora")
    truth = gradients(model, _library_loss(model, inputs))
    for parameter in model.parameters():
        if not parameter.requires_grad:  # as a recipe has it: adapters stay in float32
            parameter.data = parameter.data.to(torch.bfloat16)

    def off(found: dict[str, Any]) -> float:
        return sum(float((found[name] - truth[name]).square().sum()) for name in truth) ** 0.5

    way = Way(model)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = off(gradients(model, _library_loss(model, inputs)))
        with way.taken():
            loss, _ = way.loss(model, inputs)
            assert type(loss.grad_fn).__name__ == "HeadLossBackward"
            found = gradients(model, loss)
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    assert 0 < off(found) < 1.2 * theirs


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)

    def given(*shape: int) -> Any:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    weight, bias = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    lora: Any = lambda x, a, b: LowRank.apply(x, weight, bias, a, b, 1.5)  # noqa: E731
    assert torch.autograd.gradcheck(lora, (given(2, 3, 4), given(2, 4), given(5, 2)))
    scale = torch.randn(4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: RootMeanSquare.apply(x, scale, 1e-5), (given(2, 3, 4),))
    assert torch.autograd.gradcheck(GatedProduct.apply, (given(3, 4), given(3, 4)))
    labels = torch.randint(0, 7, (200,))
    head = torch.randn(7, 4, dtype=torch.float64)
    hidden = given(200, 4)
    assert torch.autograd.gradcheck(lambda h: HeadLoss.apply(h, head, None, labels), (hidden,), fast_mode=True)


def test_layers_that_are_not_known_stay() -> None:
    dropped = adapted(made(), "lora", lora_dropout=0.1)
    with fused(dropped) as count:
        assert count == 7 + 3  # the norms and the gated products, no adapter
    assert Way(dropped).share is False
    with fused(adapted(made(), "lora")) as count:
        assert count == 7 + 3 + 3 * 7
    with fused(adapted(made(), "ia3")) as count:
        assert count == 7 + 3
    with fused(made()) as count:  # trained norms: only the products are left
        assert count == 3


def test_adapters_can_be_switched_off() -> None:
    model = adapted(made(), "lora")
    inputs = batch(0)
    way = Way(model)
    with model.disable_adapter(), way.taken():
        ours, _ = way.loss(model, inputs)
    with model.disable_adapter():
        assert ours.item() == pytest.approx(_library_loss(model, inputs).item(), rel=1e-5)


def test_another_result_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(made(), "lora")
    right = GatedProduct.forward
    monkeypatch.setattr(GatedProduct, "forward", staticmethod(lambda ctx, gate, up: 1.5 * right(ctx, gate, up)))
    reason = Way(model).differs()
    assert reason is not None
    assert reason.startswith("the losses are")
    assert model.training


@pytest.mark.parametrize(
    "changes", [(), ("training.gradient_checkpointing=true",), ("method.name=dora",), VIRTUAL, PREFIX]
)
def test_training_ends_with_the_same_weights(
    tiny_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: tuple[str, ...]
) -> None:
    from safetensors.torch import load_file

    from llmrec.train import finetune

    short = ("training.max_steps=5", "training.log_every=1", "evaluation.every=2", "evaluation.metric=loss", *changes)
    taken = []
    way = fast.FastMixin._fast_way

    def noted(self: Any) -> Any:
        taken.append(way(self))
        return taken[-1]

    monkeypatch.setattr(fast.FastMixin, "_fast_way", noted)
    ours = finetune(tiny_recipe(*short, f"output={tmp_path}/ours"))
    assert all(isinstance(each, Way) for each in taken)
    assert taken
    monkeypatch.setattr(fast.FastMixin, "_fast_way", lambda self: None)
    theirs = finetune(tiny_recipe(*short, f"output={tmp_path}/theirs"))
    assert ours.folder is not None
    assert theirs.folder is not None
    for key in ("first_loss", "last_loss"):
        assert ours.metrics["training"][key] == pytest.approx(theirs.metrics["training"][key], rel=1e-5)
    for (_, a), (_, b) in zip(
        ours.metrics["training"]["evaluations"], theirs.metrics["training"]["evaluations"], strict=True
    ):
        assert a == pytest.approx(b, rel=1e-5)
    wanted = load_file(theirs.folder / "adapter_model.safetensors")
    for name, weight in load_file(ours.folder / "adapter_model.safetensors").items():
        torch.testing.assert_close(weight, wanted[name], rtol=1e-3, atol=2e-5)


def test_dropout_leaves_virtual_tokens_to_the_library() -> None:
    assert Way(adapted(made(attention_dropout=0.1), "prompt")).differs() == "virtual tokens and dropout"
    assert Way(adapted(made(), "prompt")).differs() is None


def test_answers_to_one_prompt_share_it(
    tiny_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import json

    from llmrec.train import finetune

    def rows(name: str, first: int) -> str:
        # lengths that would put the answers of a prompt into different batches
        found = [
            {"id": f"{i}-{n}", "group": str(i), "prompt": f"Reviews of {i}: {'good ' * i}", "completion": "Yes." * n}
            for i in range(first, first + 4)
            for n in (1, 4, 7)
        ]
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
        return str(path)

    shared = []

    def noted(inputs: Any, **more: Any) -> Any:
        line = in_one_line(inputs, **more)
        if len(line.sizes) == 4:  # not the three short rows that are tried before the first step
            shared.append((line.shared, min(inputs["attention_mask"].sum(1).tolist())))
        return line

    monkeypatch.setattr("llmrec.train.ragged.in_one_line", noted)
    changes = (f"data.train={rows('a.jsonl', 0)}", f"data.dev={rows('b.jsonl', 10)}", "training.batch_size=6")
    finetune(tiny_recipe(*changes, "training.micro_batch_size=3", "training.epochs=1", "evaluation.metric=loss"))
    # the shortest row is the prompt, "Yes.", and the end of the turn: all but these five is shared, four times in
    # training and four on dev, which goes in the order of the file
    assert [length - beginning for beginning, length in shared if beginning > 12] == [5] * 8
