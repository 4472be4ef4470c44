"""A language model behind any OpenAI-compatible server: vLLM, llama.cpp, Ollama, LM Studio, a hosted one.

::

    generator = load_generator("openai:Qwen/Qwen3-8B@http://localhost:8000/v1")

Each conversation is one ``POST /chat/completions``; several run at once, answers keep the order of the questions.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from llmrec.errors import GenerationError, InputError
from llmrec.llm.usage import Usage
from llmrec.records import Completion, Conversation, GenerationSettings, Message

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

#: Answers after which the same question may be asked again.
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
#: Likeliest tokens that a server is asked for: the most that the usual ones tell.
TOLD = 20
#: Longest wait that a server may ask for, in seconds.
LONGEST_WAIT = 60.0


class OpenAIGenerator:
    """Asks a server; a question that fails is asked again, after waiting as long as the server says.

    Args:
        model: The model's name on the server.
        base_url: The server's address, up to ``/v1``.
        api_key_env: Environment variable that holds the key; without it no key is sent.
        seed: Seed of sampling, added to the settings' own.
        concurrency: Most questions that are open at once.
        timeout: Seconds until an answer is given up.
        retries: How often a question is asked again.
        backoff: Seconds before the first retry; doubled each time, with some chance in it.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        seed: int = 0,
        concurrency: int = 8,
        timeout: float = 120.0,
        retries: int = 5,
        backoff: float = 0.5,
    ) -> None:
        url = base_url.rstrip("/")
        if not url.startswith(("http://", "https://")):
            step = "Give an address such as http://localhost:8000/v1."
            raise InputError(f"{base_url!r}: not the address of a server", next_step=step)
        self.model, self._url = model, f"{url}/chat/completions"
        #: The address as it may be shown: without a login.
        self.url = _without_login(self._url)
        self.reference = self.digest = f"openai:{model}@{_without_login(url)}"
        self.adapter: str | None = None
        self.seed, self.concurrency = seed, concurrency
        self.retries, self.backoff, self._api_key_env = retries, backoff, api_key_env
        self.usage = Usage()
        self.timeout = timeout

    def generate(self, conversations: Sequence[Conversation], settings: GenerationSettings) -> list[Completion]:
        """Answer each conversation; the answers come in input order.

        A trailing assistant message (the beginning of the answer) is not sent: few servers continue it.

        Raises:
            GenerationError: The server kept failing, or answered something else; names its address and status.
        """
        started = time.perf_counter()
        done = _run(self._ask_all(conversations, settings, self._completion))
        self.usage.add(done, time.perf_counter() - started)
        return done

    def likeliest(self, conversations: Sequence[Conversation]) -> list[dict[str, float]]:
        """Probabilities of the likeliest first tokens of each answer; its first word at 1 where a server tells none.

        Raises:
            GenerationError: See ``generate``.
        """
        settings = GenerationSettings(max_new_tokens=1)
        return _run(self._ask_all(conversations, settings, self._likeliest, {"logprobs": True, "top_logprobs": TOLD}))

    def _likeliest(self, answer: httpx.Response, settings: GenerationSettings) -> dict[str, float]:
        said = self._completion(answer, settings).text
        try:
            first = answer.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            return {str(own["token"]): math.exp(min(0.0, float(own["logprob"]))) for own in first} or {said: 1.0}
        except (ValueError, KeyError, IndexError, TypeError):
            return {said: 1.0}

    async def _ask_all(
        self,
        conversations: Sequence[Conversation],
        settings: GenerationSettings,
        read: Callable[[httpx.Response, GenerationSettings], Result],
        extra: Mapping[str, Any] | None = None,
    ) -> list[Result]:
        import httpx

        key = os.environ.get(self._api_key_env, "").strip()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=self.concurrency)
        timeout = httpx.Timeout(self.timeout, connect=min(self.timeout, 10.0))
        places = asyncio.Semaphore(self.concurrency)
        async with httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits) as client:

            async def ask(conversation: Conversation) -> Result:
                async with places:
                    return read(await self._ask(client, conversation, settings, extra or {}), settings)

            tasks = [asyncio.create_task(ask(conversation)) for conversation in conversations]
            try:
                return await asyncio.gather(*tasks)
            finally:  # after the first error nothing more is asked
                for task in tasks:
                    task.cancel()

    async def _ask(
        self,
        client: httpx.AsyncClient,
        conversation: Conversation,
        settings: GenerationSettings,
        extra: Mapping[str, Any],
    ) -> httpx.Response:
        import httpx

        turns = conversation[:-1] if conversation and conversation[-1].role == "assistant" else conversation
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": _parts(m)} for m in turns],
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed + self.seed,
            **extra,
        }
        if settings.stop:
            body["stop"] = list(settings.stop[:4])  # the most that servers take
        reason = ""
        for attempt in range(self.retries + 1):
            wanted = 0.0
            try:
                answer = await client.post(self._url, json=body)
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if answer.status_code == 200:
                    return answer
                reason = f"status {answer.status_code}{_said(answer)}"
                if answer.status_code not in RETRIED:
                    raise GenerationError(f"{self.url}: {reason}", next_step=self._remedy(answer.status_code))
                wanted = _retry_after(answer)
            if attempt < self.retries:
                pause = min(max(wanted, self.backoff * 2**attempt * random.uniform(0.5, 1.0)), LONGEST_WAIT)
                logger.info("%s: %s; again in %.1f s", self.url, reason, pause)
                await asyncio.sleep(pause)
        step = "See that the server is up and its address right, then run again."
        raise GenerationError(f"{self.url}: {reason} ({self.retries + 1} attempts)", next_step=step)

    def _completion(self, answer: httpx.Response, settings: GenerationSettings) -> Completion:
        try:
            body = answer.json()
            choice = body["choices"][0]
            text = choice["message"].get("content") or ""
            usage = body.get("usage") or {}
            prompt_tokens, new_tokens = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
            if not isinstance(text, str):
                raise TypeError("content is not a text")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            step = "Give the address of an OpenAI-compatible server, up to /v1."
            raise GenerationError(f"{self.url}: not a chat completion ({error})", next_step=step) from error
        # servers that take fewer stop strings, or none
        places = [place for stop in settings.stop if (place := text.find(stop)) >= 0]
        finish = "length" if choice.get("finish_reason") == "length" and not places else "stop"
        return Completion(text[: min(places)] if places else text, finish, prompt_tokens, new_tokens)  # type: ignore[arg-type]

    def _remedy(self, status: int) -> str:
        if status in (401, 403):
            return f"Set the environment variable {self._api_key_env} to a key that this server takes."
        if status == 404:
            return f"See that the address ends in /v1 and that the server has a model named {self.model!r}."
        return "See what the server says; a prompt may be too long for its model."


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a thread of its own, so that it runs in a notebook too, and Ctrl-C ends it at once."""
    outcome: Future[Result] = Future()
    running: list[Any] = []

    async def body() -> Result:
        running.extend((asyncio.get_running_loop(), asyncio.current_task()))
        return await coroutine

    def work() -> None:
        try:
            outcome.set_result(asyncio.run(body()))
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        return outcome.result()
    finally:
        if running:
            with suppress(RuntimeError):  # it is over
                running[0].call_soon_threadsafe(running[1].cancel)
        thread.join(5.0)


def _parts(message: Message) -> str | list[dict[str, Any]]:
    """The content of a message as servers take it: a text, or pictures as data addresses and then the text."""
    if not message.images:
        return message.content
    kinds = ["image/png" if image.startswith(b"\x89PNG") else "image/jpeg" for image in message.images]
    addresses = [
        f"data:{kind};base64,{b64encode(image).decode()}" for kind, image in zip(kinds, message.images, strict=True)
    ]
    pictures = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
    return [*pictures, {"type": "text", "text": message.content}]


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that the server asks to wait, as a number or a date; 0 when it asks for nothing."""
    from datetime import UTC, datetime

    value = answer.headers.get("retry-after", "").strip()
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


def _said(answer: httpx.Response) -> str:
    text = " ".join(answer.text[:400].split())
    return f": {text[:200]}" if text else ""


def _without_login(url: str) -> str:
    """The address without a user name and password that may stand in it."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
