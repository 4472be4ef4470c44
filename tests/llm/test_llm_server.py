"""The client of OpenAI-compatible servers, against a real server in a process of its own that fails as scripted."""

from __future__ import annotations

import itertools
import logging
import time

import pytest

from llmrec.errors import GenerationError, InputError
from llmrec.llm import load_generator
from llmrec.llm.next_word import MOST, word_odds
from llmrec.llm.server import OpenAIGenerator
from llmrec.records import Completion, GenerationSettings, Message
from llmrec.seams import Generator

SETTINGS = GenerationSettings(max_new_tokens=16, temperature=0.5, seed=3, stop=("\n\n",))


def ask(*texts: str) -> list[tuple[Message, ...]]:
    return [(Message("system", "be brief"), Message("user", text)) for text in texts]


def client(server, **options) -> OpenAIGenerator:
    return OpenAIGenerator("m", server.url, **{"backoff": 0.01, "timeout": 10.0, **options})


def test_answers_come_in_order(serve) -> None:
    server = serve({"status": 200, "wait": 0.4})
    generator = load_generator(f"openai:some/model@{server.url}", seed=1)
    assert isinstance(generator, Generator)
    answers = generator.generate(ask("a", "b", "say:one two…", "d"), SETTINGS)
    # the first request is answered last
    assert answers[0] == Completion("echo: a", "stop", 1, 2)
    assert [answer.text for answer in answers] == ["echo: a", "echo: b", "one two…", "echo: d"]
    assert answers[2].finish == "length"
    (sent,) = [r["body"] for r in server.requests if r["body"]["messages"][-1]["content"] == "a"]
    assert sent == {
        "model": "some/model",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a"}],
        "max_tokens": 16,
        "temperature": 0.5,
        "top_p": 1.0,
        "seed": 4,
        "stop": ["\n\n"],
    }
    assert {r["path"] for r in server.requests} == {"/v1/chat/completions"}
    assert (generator.reference, generator.adapter) == (f"openai:some/model@{server.url}", None)
    assert generator.usage.conversations == 4


def test_the_beginning_of_an_answer_is_not_sent_and_stops_are_applied_here_too(serve) -> None:
    server = serve()
    (answer,) = client(server).generate([(*ask("say:Type: shoe\n\nmore")[0], Message("assistant", "Type:"))], SETTINGS)
    assert answer.text == "Type: shoe"
    assert [m["role"] for m in server.requests[0]["body"]["messages"]] == ["system", "user"]


@pytest.mark.parametrize("fault", [429, 500, 503, "reset", "partial", {"status": 429, "retry-after": "0"}])
def test_passing_faults_are_asked_again(serve, fault) -> None:
    server = serve(fault, fault)
    (answer,) = client(server).generate(ask("a"), SETTINGS)
    assert answer.text == "echo: a"
    assert len(server.requests) == 3


def test_a_server_is_waited_for_as_long_as_it_asks(serve) -> None:
    server = serve({"status": 429, "retry-after": "0.6"})
    client(server).generate(ask("a"), SETTINGS)
    first, second = (request["at"] for request in server.requests)
    assert 0.6 <= second - first < 3


def test_pauses_double(serve) -> None:
    server = serve(500, 500, 500)
    client(server, backoff=0.2).generate(ask("a"), SETTINGS)
    at = [request["at"] for request in server.requests]
    pauses = [later - earlier - 0.05 for earlier, later in itertools.pairwise(at)]
    # 0.2, 0.4, 0.8, each times 0.5 to 1
    for pause, longest in zip(pauses, (0.2, 0.4, 0.8), strict=True):
        assert longest / 2 - 0.02 <= pause < longest + 0.5


def test_a_stalling_server_times_out_and_is_asked_again(serve) -> None:
    server = serve("stall")
    started = time.monotonic()
    (answer,) = client(server, timeout=0.3).generate(ask("a"), SETTINGS)
    assert answer.text == "echo: a"
    assert time.monotonic() - started < 4


def test_after_all_retries_the_error_names_address_and_status(serve) -> None:
    server = serve(*[503] * 9)
    with pytest.raises(GenerationError, match=r"127\.0\.0\.1:\d+/v1/chat/completions: status 503.*3 attempts"):
        client(server, retries=2).generate(ask("a"), SETTINGS)
    assert len(server.requests) == 3


def test_a_refusal_is_final_and_stops_the_others(serve) -> None:
    server = serve(401)
    with pytest.raises(GenerationError, match="status 401") as caught:
        client(server, concurrency=1, api_key_env="SOME_KEY").generate(ask(*"abcdefghij"), SETTINGS)
    assert "SOME_KEY" in caught.value.next_step
    assert len(server.requests) < 5


def test_another_kind_of_server_is_named(serve) -> None:
    with pytest.raises(GenerationError, match="not a chat completion"):
        client(serve("html")).generate(ask("a"), SETTINGS)


def test_no_server_there() -> None:
    with pytest.raises(GenerationError, match=r"127\.0\.0\.1:9/v1.*ConnectError.*2 attempts"):
        OpenAIGenerator("m", "http://127.0.0.1:9/v1", retries=1, backoff=0.01).generate(ask("a"), SETTINGS)


def test_no_more_questions_are_open_than_allowed(serve) -> None:
    server = serve()
    answers = client(server, concurrency=3).generate(ask(*map(str, range(12))), SETTINGS)
    assert [answer.text for answer in answers] == [f"echo: {i}" for i in range(12)]
    assert max(request["open"] for request in server.requests) == 3


def test_the_key_comes_from_the_environment_and_is_never_shown(
    serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SHOP_KEY", "s3cret-token")
    server = serve(500, 401)
    generator = client(server, api_key_env="SHOP_KEY")
    with caplog.at_level(logging.DEBUG), pytest.raises(GenerationError) as caught:
        generator.generate(ask("a"), SETTINGS)
    assert {request["key"] for request in server.requests} == {"Bearer s3cret-token"}
    shown = caplog.text + str(caught.value) + repr(vars(generator)) + generator.reference
    assert "s3cret" not in shown
    monkeypatch.delenv("SHOP_KEY")
    server = serve()
    client(server, api_key_env="SHOP_KEY").generate(ask("a"), SETTINGS)
    assert server.requests[-1]["key"] is None


def test_a_word_against_another(serve) -> None:
    server = serve()
    # a server that tells probabilities, and one that only answers
    odds = word_odds(client(server), ask("probable", "say:No.", "say:perhaps"))
    assert odds.tolist() == pytest.approx([1.0, -MOST, 0.0])
    sent = server.requests[0]["body"]
    assert (sent["max_tokens"], sent["temperature"], sent["top_logprobs"]) == (1, 0.0, 20)


def test_references() -> None:
    named = load_generator("qwen3", base_url="http://host:8000/v1/")
    assert named.reference == "openai:qwen3@http://host:8000/v1"
    with_login = load_generator("openai:a@b@http://u:p@host/v1")
    assert with_login.reference == "openai:a@b@http://host/v1"
    assert with_login.url == "http://host/v1/chat/completions"
    for reference, options, said in (
        ("openai:qwen3", {}, "no address of a server"),
        ("qwen3", {"backend": "openai"}, "no address of a server"),
        ("openai:qwen3@localhost", {}, "not the address of a server"),
        ("openai:qwen3@http://h/v1", {"adapter": "x"}, "adapter"),
        ("starter:smollm2-135m", {"backend": "transformers", "base_url": "http://h/v1"}, "no server's address"),
        ("starter:smollm2-135m", {"backend": "magic"}, "'magic': unknown"),
    ):
        with pytest.raises(InputError, match=said):
            load_generator(reference, **options)
