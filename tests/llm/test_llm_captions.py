"""Captions: by a server that is a process of its own, by tiny models of real architectures, and their cleaning."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llmrec.errors import GenerationError, InputError, ModelError
from llmrec.llm import load_captioner
from llmrec.llm.captions import MAX_CHARS, ServerCaptioner, as_jpeg, clean_caption
from llmrec.llm.chat import ChatEncoder
from llmrec.llm.server import OpenAIGenerator
from llmrec.records import Message
from llmrec.seams import Captioner
from tests.llm.conftest import make_tokenizer

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def picture(colour: str, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, colour)


def test_a_server_is_shown_the_picture(serve) -> None:
    server = serve()
    captioner = load_captioner(f"openai:vlm@{server.url}", prompt="say: **A red box.**\n")
    assert isinstance(captioner, Captioner)
    assert captioner.caption([picture("red", (1600, 900)), picture("blue")]) == ["A red box.", "A red box."]
    first, second = server.requests
    (message,) = first["body"]["messages"]
    shown, text = message["content"]
    assert text == {"type": "text", "text": "say: **A red box.**\n"} and message["role"] == "user"
    head, _ = shown["image_url"]["url"].split(",")
    assert head == "data:image/jpeg;base64"
    sizes = set()
    for request in (first, second):
        url = request["body"]["messages"][0]["content"][0]["image_url"]["url"]
        sizes.add(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).size)
    assert sizes == {(768, 432), (40, 30)}
    assert captioner.caption([]) == []


def test_a_server_that_refuses_pictures_is_named(serve) -> None:
    server = serve(400)
    captioner = ServerCaptioner(OpenAIGenerator("text-only", server.url, retries=0))
    with pytest.raises(GenerationError, match="status 400"):
        captioner.caption([picture("red")])


def test_png_and_jpeg_are_told_apart(serve) -> None:
    server = serve()
    generator = OpenAIGenerator("m", server.url)
    file = io.BytesIO()
    picture("red").save(file, "PNG")
    from llmrec.records import GenerationSettings

    generator.generate([(Message("user", "hi", (file.getvalue(), as_jpeg(picture("red")))),)], GenerationSettings())
    content = server.requests[0]["body"]["messages"][0]["content"]
    assert [part["image_url"]["url"][:16] for part in content[:2]] == ["data:image/png;b", "data:image/jpeg;"]


def test_a_model_of_text_alone_refuses_pictures() -> None:
    with pytest.raises(InputError, match="reads text alone"):
        ChatEncoder(make_tokenizer()).encode((Message("user", "hi", (b"\x89PNG",)),), 99)


def test_digests_change_with_the_prompt(serve) -> None:
    url = serve().url
    one, same, other = (load_captioner(f"openai:m@{url}", prompt=text) for text in ("a", "a", "b"))
    assert one.digest == same.digest != other.digest
    with pytest.raises(InputError, match="prompt for captions is empty"):
        load_captioner(f"openai:m@{url}", prompt=" ")


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaVA, which chats about pictures."""
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    folder = tmp_path_factory.mktemp("llava")
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(**layers, image_size=28, patch_size=14, projection_dim=16),
            text_config=LlamaConfig(
                **layers,
                vocab_size=len(tokenizer),
                max_position_embeddings=1024,
                initializer_range=0.5,
                eos_token_id=None,
            ),
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        )
    )
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        patch_size=14,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BLIP, which captions without being asked."""
    import torch
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessorPil,
        BlipProcessor,
    )

    folder = tmp_path_factory.mktemp("blip")
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    torch.manual_seed(0)
    config = BlipConfig(
        text_config={**layers, **ends, "vocab_size": len(words), "encoder_hidden_size": 16, "initializer_range": 0.5},
        vision_config={**layers, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(processor, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2-VL, whose processor has a part for videos that wants torchvision."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    folder = tmp_path_factory.mktemp("qwen")
    tokenizer = make_tokenizer()
    names = {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>", "image": "<|image_pad|>"}
    names["video"] = "<|video_pad|>"
    tokenizer.add_special_tokens({"additional_special_tokens": list(names.values())})
    tokenizer.chat_template = TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    tokenizer.save_pretrained(folder)
    sizes = {"patch_size": 14, "temporal_patch_size": 2}
    prepared = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor", **sizes}
    prepared |= {"merge_size": 2, "min_pixels": 3136, "max_pixels": 12544}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    rope = {"type": "mrope", "mrope_section": [1, 1, 2], "rope_type": "default"}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2, "hidden_size": 32}
    ends = {"bos_token_id": None, "eos_token_id": None, "initializer_range": 0.5}
    torch.manual_seed(0)
    config = Qwen2VLConfig(
        text_config={**heads, **ends, "vocab_size": len(tokenizer), "intermediate_size": 64, "rope_scaling": rope},
        vision_config={**sizes, "depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2},
        **{f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in names.items()},
    )
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["llava", "blip", "qwen"])
def test_a_model_on_this_machine(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.llm.vision.MAX_NEW_TOKENS", 12)
    folder = request.getfixturevalue(kind)
    captioner = load_captioner(str(folder), threads=1, device="cpu", dtype="float32", prompt="what is it?")
    assert isinstance(captioner, Captioner)
    raw = [captioner._answer(image) for image in (picture("red"), picture("blue", (90, 30)))]
    assert raw[0] and "what is it" not in raw[0] and "assistant" not in raw[0]  # the answer alone
    captions = captioner.caption([picture("red"), picture("blue", (90, 30))])
    assert captions == [clean_caption(text) for text in raw]  # greedy: the same again


def test_what_is_no_vision_model_is_named(tiny: dict[str, Path], llava: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded as a vision-language model"):
        load_captioner(str(tiny["llama"]))
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(llava, broken)
    config = json.loads((broken / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="without the weights"):
        load_captioner(str(broken))
    with pytest.raises(ModelError):
        load_captioner("starter:nothing")


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("  **A yellow box**\nof biscuits.\n", "A yellow box of biscuits."),
        ("<think>hm, a cup?</think>A black tumbler.<|im_end|>", "A black tumbler."),
        ("none", ""),
        ("None.", ""),
        ("There is no product in this picture.", ""),
        ("No product visible", ""),
        ("No 5 perfume by Acme", "No 5 perfume by Acme"),
        ("...", ""),
        ("\u202ea\x00b", "a b"),
        ("A box. " + "word " * 100, "A box. " + ("word " * 58).strip()),
    ],
)
def test_cleaning(answer: str, caption: str) -> None:
    assert clean_caption(answer) == caption


@given(st.text())
def test_any_answer_gives_one_line(text: str) -> None:
    line = clean_caption(text)
    assert len(line) <= MAX_CHARS and len(line.splitlines()) <= 1 and line == line.strip()
