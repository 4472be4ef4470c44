from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrec.embed import load_encoder
from llmrec.errors import InputError
from llmrec.recipes import Recipe, parse_recipe
from llmrec.train import finetune, prepare
from llmrec.train.retrieval_data import RetrievalExample
from llmrec.train.retrieval_measure import centred, ranks

COLOURS = ("blue", "red", "green", "black", "white", "grey")
THINGS = ("kettle", "mug", "lamp", "chair")
WORDS = [*COLOURS, *THINGS, "acme", "wanted", "model", "a", "the", "old", *map(str, range(24))]


def tokenizer(marks: bool) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    if not marks:
        return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", eos_token="[SEP]", padding_side="left")
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, **names)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A BERT and a Llama of two layers and 32 numbers, random."""
    import torch
    import transformers

    sizes: dict[str, Any] = {"vocab_size": len(WORDS) + 4, "hidden_size": 32, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64}
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**sizes)).save_pretrained(root / "bert")
    tokenizer(marks=True).save_pretrained(root / "bert")
    config = transformers.LlamaConfig(**sizes, num_key_value_heads=1, pad_token_id=0)
    transformers.LlamaForCausalLM(config).save_pretrained(root / "llama")
    tokenizer(marks=False).save_pretrained(root / "llama")
    return {"bert": root / "bert", "llama": root / "llama"}


def pairs(count: int = 24) -> list[dict[str, str]]:
    return [
        {"query": f"{COLOURS[i % 6]} {THINGS[i // 6]} wanted" + " old" * (i % 3),
         "positive": f"acme the {THINGS[i // 6]} model {i} {COLOURS[i % 6]}"} for i in range(count)
    ]  # fmt: skip


@pytest.fixture
def made(folders: dict[str, Path], tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe over 24 pairs; its run is ``tmp_path/run``."""
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs()), encoding="utf-8")

    def make(model: str, *changes: str) -> Recipe:
        text = f"""
task: embed
model: {folders.get(model, model)}
precision: fp32
device: cpu
data: {{train: {tmp_path}/pairs.jsonl, dev_share: 0.2, max_tokens: 24}}
training: {{epochs: 2, batch_size: 8, learning_rate: 2e-3, log_every: 1, threads: 1}}
evaluation: {{patience: null}}
output: {tmp_path}/run
"""
        return parse_recipe(text, changes)

    return make


def losses(run: Path) -> list[tuple[str, str]]:
    with open(run / "log.csv", newline="", encoding="utf-8") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file) if row["loss"]]


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("bert", ["method.name=lora", "embed.hard_negatives=2", "embed.mine_from=1", "embed.matryoshka=[8]"]),
        ("bert", ["method.name=full", "embed.chunk=3", "embed.pooling=cls"]),
        ("bert", ["method.name=ia3", "training.learning_rate=0.05"]),
        ("llama", ["method.name=dora", "embed.pooling=last", "embed.symmetric=false"]),
        ("llama", ["method.name=rslora", "embed.chunk=4", "embed.matryoshka=[8]", "precision=bf16"]),
    ],
)
def test_what_is_saved_is_what_was_trained(made: Callable[..., Recipe], model: str, changes: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    recipe = made(model, *changes)
    done = finetune(recipe)
    assert done.folder == Path(recipe.output) / "model"
    kept = json.loads((done.folder / "llmrec_embed.json").read_text())
    assert kept["saved_cosine"] > (0.9999 if recipe.precision == "fp32" else 0.999)
    alone = SentenceTransformer(str(done.folder), device="cpu", local_files_only=True)
    texts = [row["query"] for row in pairs()]
    theirs = alone.encode(texts, normalize_embeddings=True)
    ours = load_encoder(str(done.folder), dtype="float32").encode(texts)
    assert (theirs * ours).sum(axis=1).min() > (0.9999 if recipe.precision == "fp32" else 0.99)
    untrained = load_encoder(recipe.model, pooling=load_encoder(str(done.folder)).pooling).encode(texts)
    assert np.abs(untrained - ours).max() > 1e-4
    assert {"mrr", "ndcg@10", "recall@1", "recall@10"} <= set(done.metrics["dev"])
    assert done.metrics["dev"]["mrr"].keys() >= {"base", "tuned", "difference", "p_value"}
    assert ("mrr (8 numbers)" in done.metrics["dev"]) == bool(recipe.embed.matryoshka)


def test_it_learns_what_it_is_shown(made: Callable[..., Recipe], tmp_path: Path) -> None:
    """On its own training pairs: a random encoder knows nothing of them."""
    done = finetune(made("bert", "method.name=full", "data.dev_share=0", "evaluation.every=end", "training.epochs=60"))
    rows = pairs()
    encoder = load_encoder(str(done.folder))
    right = (encoder.encode([r["query"] for r in rows]) @ encoder.encode([r["positive"] for r in rows]).T).argmax(1)
    assert (right == np.arange(24)).mean() > 0.9
    first, last = losses(tmp_path / "run")[0], losses(tmp_path / "run")[-1]
    assert float(last[1]) < float(first[1]) / 2


def test_a_run_that_goes_on_in_an_epoch_has_the_losses_of_the_unbroken_one(
    made: Callable[..., Recipe], tmp_path: Path
) -> None:
    """Dropout is on, lengths are mixed: order and random state have to come back bit for bit."""
    changes = ["training.save_every=2", "training.keep=9", "embed.hard_negatives=1", "embed.chunk=3"]
    whole = finetune(made("bert", *changes))
    run, broken = tmp_path / "run", tmp_path / "broken"
    shutil.copytree(run, broken)
    shutil.rmtree(broken / "model")
    steps = sorted(int(p.name.split("-")[1]) for p in broken.glob("checkpoints/checkpoint-*"))
    a_epoch = whole.metrics["training"]["steps"] // 2
    assert steps[0] % a_epoch and len(steps) > 1
    for step in steps[1:]:
        shutil.rmtree(broken / "checkpoints" / f"checkpoint-{step}")
    finetune(made("bert", *changes, f"output={broken}"), resume=True)
    assert losses(broken) == losses(run) and len(losses(run)) == whole.metrics["training"]["steps"]
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (run, broken)]
    assert weights[0] == weights[1]


def test_vectors_that_all_point_one_way_are_no_near_duplicates() -> None:
    """A random or decoder model: cosines of .98 and more, none of which says that two texts are alike."""
    vectors = np.array([[10, 1, 0], [10, -1, 0], [10, 0, 1], [10, 0, -1]], dtype=np.float32)
    plain = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (plain @ plain.T).min() > 0.98
    assert np.allclose(centred(plain) @ centred(plain).T, [[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]])


def test_ranks_by_hand() -> None:
    """Cosines .6 and .8 with the title, 1 and 0 with the whole: means .8 and .4; the second is right: rank 2."""
    title = (np.array([[1, 0]], dtype=np.float32), np.array([[0.6, 0.8], [0.8, 0.6]], dtype=np.float32))
    whole = (np.array([[1, 0]], dtype=np.float32), np.array([[1, 0], [0, 1]], dtype=np.float32))
    example = RetrievalExample("q", "q", "q", {"b": 2, "a": 1})
    found = ranks([title, whole], ["a", "b"], [example])
    assert found["mrr"] == [0.5] and found["recall@1"] == [0.0] and found["recall@10"] == [1.0]
    assert found["ndcg@10"] == pytest.approx([1 / np.log2(3)])


def test_a_batch_is_never_cut_small_unless_the_recipe_says_so(made: Callable[..., Recipe]) -> None:
    chosen = prepare(made("bert", "training.batch_size=512")).chosen
    assert (chosen.micro_batch_size, chosen.accumulation) == (512, 1)
    chosen = prepare(made("bert", "training.batch_size=8", "training.micro_batch_size=2")).chosen
    assert (chosen.micro_batch_size, chosen.accumulation) == (2, 4)


def test_tokens_that_go_through_the_model_at_once(made: Callable[..., Recipe]) -> None:
    """The longest query has 5 words and 2 marks, the longest product 6 and 2; a gradient cache takes three texts."""
    changes = ["data.dev_share=0", "evaluation.every=end", "training.batch_size=24", "embed.hard_negatives=2"]
    for more, tokens in (([], 24 * (7 + (1 + 2) * 8)), (["embed.chunk=3"], 3 * 8)):
        task = prepare(made("bert", *changes, *more))
        task.load()
        assert task.at_once() == tokens


def test_prompts_of_the_model_stand_before_what_is_trained(
    made: Callable[..., Recipe], folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "prompted"
    shutil.copytree(folders["bert"], folder)
    prompts = {"prompts": {"query": "a ", "document": "the "}, "default_prompt_name": None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    shown = prepare(made(str(folder), "data.dev_share=0", "evaluation.every=end")).shown(1)
    assert shown == ["a blue kettle wanted ⟦the acme the kettle model 0 blue⟧"]


def test_what_cannot_be_trained_is_told(made: Callable[..., Recipe]) -> None:
    with pytest.raises(InputError, match=r"embed.matryoshka: 64 is too long"):
        finetune(made("bert", "embed.matryoshka=[64]"))
    with pytest.raises(InputError, match=r"data.train: \d+ pairs are longer than 4 tokens"):
        prepare(made("bert", "data.max_tokens=4", "data.too_long=refuse")).lengths()


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("bert", ["method.name=lora", "embed.pooling=cls", "embed.matryoshka=[8]"]),
        ("bert", ["method.name=ia3", "training.learning_rate=0.05"]),
        ("llama", ["method.name=dora", "embed.pooling=last"]),
    ],
)
def test_an_adapter_is_the_encoder_that_is_merged(
    made: Callable[..., Recipe], folders: dict[str, Path], model: str, changes: list[str], tmp_path: Path
) -> None:
    whole = finetune(made(model, *changes))
    alone = finetune(made(model, *changes, "embed.save=adapter", f"output={tmp_path}/alone"))
    assert whole.folder is not None and alone.folder == tmp_path / "alone" / "adapter"
    assert alone.metrics["dev"] == whole.metrics["dev"]
    there = {path.name for path in alone.folder.iterdir()}
    assert there == {"adapter_config.json", "adapter_model.safetensors", "llmrec_embed.json", "recipe.yaml",
                     "metrics.json", "README.md", "manifest.json"}  # fmt: skip
    texts = [row["query"] for row in pairs()]
    encoder, merged = load_encoder(str(alone.folder)), load_encoder(str(whole.folder))
    ours = encoder.encode(texts)
    assert (ours * merged.encode(texts)).sum(axis=1).min() > 1 - 1e-6
    assert (encoder.pooling, encoder.max_length) == (merged.pooling, merged.max_length)
    np.testing.assert_allclose(ours, by_peft_alone(folders[model], alone.folder, texts), atol=1e-5)


def by_peft_alone(base: Path, adapter: Path, texts: list[str]) -> Any:
    """Vectors without a line of ours, by what llmrec_embed.json tells."""
    import torch
    from peft import PeftModel
    from transformers import AutoModel, AutoTokenizer

    told = json.loads((adapter / "llmrec_embed.json").read_text())
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), str(adapter)).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = []
    for text in texts:
        ids = tokenizer(told["prompts"]["query"] + text, return_tensors="pt", max_length=told["max_length"])
        with torch.no_grad():
            hidden = model(**ids).last_hidden_state[0]
        row = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[told["pooling"]].numpy()
        rows.append(row / np.linalg.norm(row))
    return np.stack(rows)


def test_full_training_has_no_adapter_to_save(made: Callable[..., Recipe]) -> None:
    with pytest.raises(InputError, match="trains no adapter"):
        made("bert", "method.name=full", "embed.save=adapter")


def test_an_adapter_is_merged_afterwards_but_not_out_of_its_pooling(
    made: Callable[..., Recipe], tmp_path: Path
) -> None:
    from llmrec.train.merge import merge

    alone = finetune(made("bert", "method.name=lora", "embed.save=adapter", "embed.matryoshka=[8]"))
    done = merge(str(alone.folder), tmp_path / "merged", dtype="float32")
    texts = [row["query"] for row in pairs()]
    ours = load_encoder(str(alone.folder), dimension=8).encode(texts)
    assert (ours * load_encoder(str(done.path), dimension=8).encode(texts)).sum(axis=1).min() > 1 - 1e-6
    other = finetune(
        made("bert", "method.name=lora", "embed.save=adapter", "embed.pooling=cls", f"output={tmp_path}/o")
    )
    with pytest.raises(InputError, match="pools by cls"):
        merge(str(other.folder), tmp_path / "refused")
