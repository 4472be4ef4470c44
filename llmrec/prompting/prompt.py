"""A prompt: a YAML file with declared variables, messages in Jinja2, and the fields of the answer.

::

    prompt = load_prompt("shopping-intent")          # shipped, or a path to a file of your own
    rendered = prompt.render({"text": [["speech", "the trail two in blue"]]})
    rendered.conversation, rendered.truncated        # messages; {"text": 812} characters left out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
from jinja2 import TemplateError

from llmrec.errors import InputError
from llmrec.prompting.finder import shipped
from llmrec.prompting.schema import DEFAULTS, TASKS, OutputField, Schema, Variable
from llmrec.prompting.templates import compile_template, template_faults
from llmrec.prompting.untrusted import clean, shorten
from llmrec.records import Conversation, GenerationSettings, Message, PromptVersion


class _Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant"]
    content: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    version: str
    task: Literal["summary", "intent", "judgement"]
    about: str
    variables: dict[str, Variable]
    messages: tuple[_Turn, ...]
    output: dict[str, OutputField] = {}
    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rendered:
    """A conversation, and how many characters of each variable did not fit (0: none is listed)."""

    conversation: Conversation
    truncated: dict[str, int] = field(default_factory=dict)


class Prompt:
    """A checked prompt. ``digest`` changes with every character of its file."""

    def __init__(self, file: _File, digest: str, shown: str) -> None:
        self.name, self.task, self.about = file.name, file.task, file.about
        self.version = PromptVersion(file.name, file.version)
        self.variables = file.variables
        self.output: Schema = {**DEFAULTS[file.task], **file.output}
        self.settings = GenerationSettings(max_new_tokens=file.max_new_tokens, stop=file.stop)
        self.digest = digest
        self._shown = shown
        self._templates = [(turn.role, compile_template(turn.content)) for turn in file.messages]
        #: What the answer begins with, when the last message is the beginning of the answer.
        self.prefix = file.messages[-1].content if file.messages[-1].role == "assistant" else ""
        #: The worked examples: an answer that copies words from here, not from the data, is not to be believed.
        self.examples = " ".join(turn.content for turn in file.messages[:-1] if turn.role == "assistant")

    def pick(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of what is known about a record, the variables that this prompt declares.

        Raises:
            InputError: The prompt declares a variable that is not known.
        """
        missing = [name for name in self.variables if name not in values]
        if missing:
            step = f"Declare variables out of: {', '.join(sorted(values))}."
            raise InputError(f"{self._shown}: variable {', '.join(map(repr, missing))} is not known", next_step=step)
        return {name: values[name] for name in self.variables}

    def render(self, values: Mapping[str, Any]) -> Rendered:
        """Fill the messages.

        Args:
            values: Each declared variable: a text, a list of texts, or a mapping of texts (or list of pairs).

        Raises:
            InputError: A variable is missing, unknown or of another type than declared; it is named.
        """
        for fault, names in (
            ("is missing", self.variables.keys() - values.keys()),
            ("is unknown", values.keys() - self.variables.keys()),
        ):
            if names:
                shown = ", ".join(map(repr, sorted(names)))
                step = f"Give exactly: {', '.join(self.variables) or 'nothing'}."
                raise InputError(f"{self._shown}: variable {shown} {fault}", next_step=step)
        truncated: dict[str, int] = {}
        ready = {name: self._prepare(name, value, truncated) for name, value in values.items()}
        try:
            messages = tuple(Message(role, template.render(ready).strip()) for role, template in self._templates)
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            step = "Correct the template; maps are lists of (name, value) pairs in it."
            raise InputError(f"{self._shown}: cannot be filled: {error}", next_step=step) from error
        return Rendered(messages, {name: count for name, count in truncated.items() if count})

    def _prepare(self, name: str, value: Any, truncated: dict[str, int]) -> Any:
        declared = self.variables[name]

        def text(item: Any) -> str:
            short, left_out = shorten(clean(str(item)), declared.max_chars)
            truncated[name] = truncated.get(name, 0) + left_out
            return short

        try:
            if declared.type == "text":
                if not isinstance(value, str):
                    raise TypeError("a text")
                return text(value)
            if isinstance(value, str):
                raise TypeError(f"a {declared.type}")
            if declared.type == "list":
                given = [str(item) for item in value]
                items: list[Any] = [item for item in map(text, given[: declared.max_items]) if item]
                rest = given[declared.max_items :]
            else:
                pairs = [(str(k), str(v)) for k, v in (value.items() if isinstance(value, Mapping) else value)]
                items = [(k, v) for k, v in ((text(k), text(v)) for k, v in pairs[: declared.max_items]) if k and v]
                rest = [f"{k}{v}" for k, v in pairs[declared.max_items :]]
        except (TypeError, ValueError) as error:
            step = f"Give {name} as {'a text' if declared.type == 'text' else 'a ' + declared.type + ' of texts'}."
            raise InputError(f"{self._shown}: variable {name!r} is not a {declared.type}", next_step=step) from error
        truncated[name] = truncated.get(name, 0) + sum(map(len, rest))
        return items


def load_prompt(name: str | Path) -> Prompt:
    """Load a shipped prompt by name, or a YAML file.

    Raises:
        InputError: No such prompt, or a file that is not one; all its faults are listed.
    """
    known = shipped()
    if str(name) in known:
        return _parse(known[str(name)].read_bytes(), str(name))
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        step = f"Give a .yaml file or one of: {', '.join(known)}."
        raise InputError(f"{name}: no such prompt", next_step=step)
    try:
        return _parse(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", next_step="Check the path of the prompt file.") from error


def prompt_names() -> list[str]:
    """Names of the shipped prompts."""
    return list(shipped())


def _parse(raw: bytes, shown: str) -> Prompt:
    import yaml

    step = "Correct the file; the shipped prompts are examples of the form."
    try:
        file = msgspec.convert(yaml.safe_load(raw.decode("utf-8")), _File)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"{shown}: not a prompt: {error}", next_step=step) from error
    faults = _faults(file)
    if faults:
        raise InputError(f"{shown}: {'; '.join(faults)}", next_step=step)
    return Prompt(file, sha256(raw).hexdigest(), shown)


def _faults(file: _File) -> list[str]:
    faults = []
    if not any(turn.role == "user" for turn in file.messages):
        faults.append("messages: no user message")
    if not 1 <= file.max_new_tokens <= 4096:
        faults.append(f"max_new_tokens: {file.max_new_tokens} is not from 1 to 4096")
    for name, entry in file.output.items():
        wanted = TASKS[file.task].get(name)
        if wanted is None:
            faults.append(f"output: the task {file.task} has no field {name!r} (it has {', '.join(TASKS[file.task])})")
        elif entry.type != wanted:
            faults.append(f"output: {name} is a {wanted}, not a {entry.type}")
    bounds: dict[str, Variable | OutputField] = {**file.variables, **file.output}
    for name, declared in bounds.items():
        if declared.max_chars < 8 or declared.max_items < 1:
            faults.append(f"{name}: max_chars below 8 or max_items below 1")
    trusted = {name for name, variable in file.variables.items() if variable.trusted}
    texts = [turn.content for turn in file.messages]
    return faults + template_faults(texts, declared=set(file.variables), trusted=trusted)
