"""Layouts, what a model's own configuration says, digests, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llmrec.embed import load_encoder
from llmrec.errors import InputError, LlmrecError, ModelError

TEXTS = ["red shoe", "blue camera of the acme trail running shoe red blue camera 42", "a"]


def test_a_sentence_transformers_folder_gives_what_that_library_gives(sentence: Path, static: Path) -> None:
    from sentence_transformers import SentenceTransformer

    for folder, document, query in ((sentence, "passage ", "query "), (static, "", "")):
        theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        encoder = load_encoder(str(folder))
        known = TEXTS[:2] if folder == static else TEXTS  # "a" is no word of the static one: nothing to compare
        documents = theirs.encode(known, prompt=document, normalize_embeddings=True)
        np.testing.assert_allclose(encoder.encode(known), documents, atol=1e-5)
        queries = theirs.encode(known, prompt=query, normalize_embeddings=True)
        np.testing.assert_allclose(encoder.encode(known, kind="query"), queries, atol=1e-5)


def test_other_layouts_are_left_to_the_library(sentence: Path) -> None:
    plain = load_encoder(str(sentence)).encode(TEXTS)
    path = sentence / "1_Pooling" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pooling_mode_mean_tokens": True}))
    encoder = load_encoder(str(sentence))
    assert (encoder.pooling, encoder.dimension, encoder.max_length) == ("own", 32, 12)
    np.testing.assert_allclose(encoder.encode(TEXTS)[:, :16] / 0.5**0.5, plain, atol=0.5)
    assert encoder.truncated == 1


def test_the_models_own_settings_are_used(sentence: Path) -> None:
    encoder = load_encoder(str(sentence))
    assert (encoder.pooling, encoder.max_length) == ("cls", 12)
    assert encoder.prompts == {"query": "query ", "document": "passage "}
    bare = load_encoder(str(sentence), query_prompt="", document_prompt="")
    np.testing.assert_allclose(encoder.encode(["shoe"], kind="query"), bare.encode(["query shoe"]), atol=1e-6)
    np.testing.assert_allclose(encoder.encode(["shoe"]), bare.encode(["passage shoe"], kind="query"), atol=1e-6)


def test_lower_casing_of_the_folder_is_respected(sentence: Path) -> None:
    path = sentence / "sentence_bert_config.json"
    path.write_text(json.dumps({"max_seq_length": 12, "do_lower_case": True}))
    encoder = load_encoder(str(sentence), document_prompt="")
    np.testing.assert_allclose(encoder.encode(["RED Shoe"]), encoder.encode(["red shoe"]), atol=1e-6)


def test_a_static_encoder_is_the_mean_of_its_token_vectors(static: Path) -> None:
    encoder = load_encoder(str(static))
    half = 0.5**0.5
    expected = [[0.6, 0.8], [half, half], [4 / 32**0.5, 4 / 32**0.5], [half, half], [half, half]]
    texts = ["shoe", "red blue", "shoe red", "", "nothing known"]
    np.testing.assert_allclose(encoder.encode(texts), expected, rtol=1e-6)


def test_model2vecs_own_layout_is_known(static: Path) -> None:
    (static / "modules.json").unlink()
    (static / "config.json").write_text(json.dumps({"model_type": "model2vec"}))
    np.testing.assert_allclose(load_encoder(str(static)).encode(["shoe"]), [[0.6, 0.8]], rtol=1e-6)


def test_the_digest_covers_what_changes_the_vectors(bert: Path, sentence: Path) -> None:
    first = load_encoder(str(bert)).digest
    assert first == load_encoder(str(bert), batch_size=1, dtype="float32", device="cpu").digest
    others = [
        load_encoder(str(bert), pooling="cls").digest,
        load_encoder(str(bert), max_length=8).digest,
        load_encoder(str(bert), query_prompt="query: ").digest,
        load_encoder(str(bert), document_prompt="query: ").digest,
        load_encoder(str(sentence)).digest,
    ]
    assert len({first, *others}) == 6


def test_pickled_weights_are_refused(sentence: Path) -> None:
    (sentence / "model.safetensors").rename(sentence / "pytorch_model.bin")
    with pytest.raises(ModelError):
        load_encoder(str(sentence))


def test_modules_from_elsewhere_are_refused(sentence: Path) -> None:
    modules = json.loads((sentence / "modules.json").read_text())
    modules[0]["type"] = "os.system"
    (sentence / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match=r"os\.system"):
        load_encoder(str(sentence))


def test_remote_code_is_not_run(bert: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "remote"
    shutil.copytree(bert, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError):
        load_encoder(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "pooling 'max' is not known"),
        ({"max_length": 25}, "sees 1 to 24 tokens"),
        ({"max_length": 0}, "sees 1 to 24 tokens"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"threads": 0}, "threads=0"),
        ({"dtype": "int3"}, "dtype 'int3'"),
    ],
)
def test_options_that_make_no_sense_are_refused(bert: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_encoder(str(bert), **options)


def test_a_static_encoder_takes_no_pooling(static: Path) -> None:
    with pytest.raises(InputError, match="static encoder"):
        load_encoder(str(static), pooling="last")


def test_the_folders_own_pooling_is_not_overruled(sentence: Path) -> None:
    with pytest.raises(InputError, match="pools by cls, not mean"):
        load_encoder(str(sentence), pooling="mean")


def test_damaged_folders_are_told_and_not_a_traceback(sentence: Path, static: Path, tmp_path: Path) -> None:
    (sentence / "modules.json").write_text("[{")
    (static / "model.safetensors").write_bytes(b"\x00" * 40)
    (tmp_path / "empty").mkdir()
    for folder in (sentence, static, tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(LlmrecError) as caught:
            load_encoder(str(folder))
        assert caught.value.exit_code == 2
