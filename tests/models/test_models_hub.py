"""Hub models against a stand-in server: pinning, offline use, refusals, and what happens when a download fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import model_folder
from hub_stand_in import HubStandIn

from llmrec.errors import ModelError, StorageError
from llmrec.models import cached, pull, resolve


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with HubStandIn() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_model_is_fetched_once_and_pinned_to_its_commit(
    hub: HubStandIn, bert: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (bert / "pytorch_model.bin").write_bytes(b"never fetched")
    (bert / "modeling.py").write_text("never fetched")
    (bert / "onnx").mkdir()
    (bert / "onnx" / "model.onnx").write_bytes(b"never fetched")
    commit = hub.add("acme/tiny", bert)

    folder = resolve("acme/tiny")

    assert folder.reference == f"acme/tiny@{commit}"
    assert folder.revision == commit
    assert (folder.kind, folder.licence) == ("text-encoder", "apache-2.0")
    names = sorted(path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file())
    assert names == ["README.md", "config.json", "model.safetensors"]
    assert (folder.path / "model.safetensors").read_bytes() == (bert / "model.safetensors").read_bytes()

    assert "%" not in capfd.readouterr().err  # no bars when nobody is watching

    hub.asked.clear()
    assert resolve("acme/tiny") == folder
    assert resolve(f"acme/tiny@{commit}") == folder
    assert hub.asked == []


def test_the_digest_is_that_of_the_same_files_in_a_local_folder(hub: HubStandIn, bert: Path) -> None:
    hub.add("acme/tiny", bert)
    assert resolve("acme/tiny").digest == resolve(str(bert)).digest


def test_the_first_commit_stays_until_a_revision_is_named(hub: HubStandIn, bert: Path, tmp_path: Path) -> None:
    first = hub.add("acme/tiny", bert)
    resolve("acme/tiny")
    newer = tmp_path / "newer"
    shutil.copytree(bert, newer)
    (newer / "tokenizer.json").write_text("{}")
    second = hub.add("acme/tiny", newer)

    assert resolve("acme/tiny").revision == first
    assert resolve("acme/tiny@main").revision == second
    assert resolve("acme/tiny").revision == second  # main was asked for by name: that is the pin now
    assert resolve("acme/tiny", revision=first).revision == first
    assert resolve("hub:acme/tiny").revision == second


def test_offline_takes_what_is_there_and_says_what_is_not(
    hub: HubStandIn, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("acme/tiny", bert)
    online = resolve("acme/tiny")
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve("acme/tiny") == online
    assert resolve("acme/tiny@main") == online
    with pytest.raises(ModelError, match="acme/other: not on this machine") as caught:
        resolve("acme/other")
    assert "HF_HUB_OFFLINE" in caught.value.next_step
    assert hub.asked == []


def test_offline_finds_what_another_program_fetched(hub: HubStandIn, bert: Path, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    commit = hub.add("acme/tiny", bert)
    snapshot_download("acme/tiny", endpoint=hub.url, cache_dir=tmp_path / "hub-cache")
    hub.asked.clear()
    assert resolve("acme/tiny", offline=True).revision == commit
    assert hub.asked == []


@pytest.mark.parametrize("name", ["acme/missing", "acme/minilm"])
def test_a_model_that_is_not_there(hub: HubStandIn, name: str) -> None:
    with pytest.raises(ModelError, match="not on the hub, or private") as caught:
        resolve(name)
    assert ("starter:minilm" in caught.value.next_step) == (name == "acme/minilm")
    assert cached() == []


def test_a_revision_that_is_not_there(hub: HubStandIn, bert: Path) -> None:
    hub.add("acme/tiny", bert)
    with pytest.raises(ModelError, match="no revision 'v9'"):
        resolve("acme/tiny@v9")


def test_a_model_on_request(hub: HubStandIn, bert: Path) -> None:
    hub.add("acme/tiny", bert)
    hub.gated.add("acme/tiny")
    with pytest.raises(ModelError, match="on request") as caught:
        resolve("acme/tiny")
    assert "HF_TOKEN" in caught.value.next_step


def test_a_hub_that_is_down(hub: HubStandIn) -> None:
    hub.down = True
    with pytest.raises(ModelError, match="cannot be fetched from the hub"):
        resolve("acme/tiny")


def test_no_hub_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be fetched") as caught:
        resolve("acme/tiny")
    assert "starter" in caught.value.next_step


def test_a_download_cut_short_leaves_nothing_and_the_next_run_completes_it(hub: HubStandIn, bert: Path) -> None:
    hub.add("acme/tiny", bert)
    hub.cut.add("model.safetensors")
    with pytest.raises(ModelError, match="cut short"):
        resolve("acme/tiny")
    assert cached() == []
    hub.cut.clear()
    assert resolve("acme/tiny").path.joinpath("model.safetensors").stat().st_size == (
        (bert / "model.safetensors").stat().st_size
    )


def test_pickles_are_refused_before_they_are_fetched(hub: HubStandIn, bert: Path) -> None:
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    hub.add("acme/old", bert)
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle") as caught:
        resolve("acme/old")
    assert "--allow-pickle" in caught.value.next_step
    assert not any("resolve" in line for line in hub.asked)

    folder = resolve("acme/old", allow_pickle=True)
    assert (folder.path / "pytorch_model.bin").is_file()
    with pytest.raises(ModelError, match="pickle"):  # allowed once is not allowed for ever
        resolve("acme/old")


def test_a_model_with_code_of_its_own_is_refused_before_its_weights_are_fetched(
    hub: HubStandIn, tmp_path: Path
) -> None:
    config = {"model_type": "acme", "architectures": ["AcmeModel"], "auto_map": {"AutoModel": "modeling.AcmeModel"}}
    hub.add("acme/code", model_folder(tmp_path / "code", config))
    with pytest.raises(ModelError, match="auto_map"):
        resolve("acme/code")
    assert not any("model.safetensors" in line for line in hub.asked)


def test_verify_repairs_a_damaged_file(hub: HubStandIn, bert: Path) -> None:
    hub.add("acme/tiny", bert)
    assert pull("acme/tiny").action == "fetched"
    assert pull("acme/tiny", verify=True).action == "present"
    weights = pull("acme/tiny").folder.path / "model.safetensors"
    data = weights.read_bytes()
    weights.resolve().write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # same size: only a hash finds it
    assert pull("acme/tiny").action == "present"
    assert pull("acme/tiny", verify=True).action == "repaired"
    assert weights.read_bytes() == data


def test_a_file_that_vanished_is_fetched_again(hub: HubStandIn, bert: Path, tmp_path: Path) -> None:
    hub.add("acme/tiny", bert)
    folder = resolve("acme/tiny")
    shutil.rmtree(tmp_path / "hub-cache")
    assert resolve("acme/tiny") == folder
    assert (folder.path / "model.safetensors").is_file()


def test_the_manifest_records_commit_and_hashes(hub: HubStandIn, bert: Path) -> None:
    import hashlib

    commit = hub.add("acme/tiny", bert)
    resolve("acme/tiny")
    manifest = json.loads((cached()[0].path / "manifest.json").read_text())
    assert (manifest["kind"], manifest["revision"]) == ("model", commit)
    expected = hashlib.sha256((bert / "model.safetensors").read_bytes()).hexdigest()
    assert manifest["files"]["model.safetensors"]["sha256"] == expected


def test_a_full_disk(hub: HubStandIn, bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.add("acme/tiny", bert)
    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(StorageError, match="no space left"):
        resolve("acme/tiny")
    assert cached() == []
