"""Prompts as data: a record to chat messages, and the model's answer back to checked fields.

::

    from llmrec.prompting import load_prompt, product_variables
    prompt = load_prompt("summarize-product")
    prompt.render(prompt.pick(product_variables(product))).conversation
"""

from llmrec.prompting.answers import (
    ParsedIntent,
    ParsedJudgement,
    ParsedSummary,
    parse_intent,
    parse_intents,
    parse_judgement,
    parse_summary,
)
from llmrec.prompting.prompt import Prompt, Rendered, load_prompt, prompt_names
from llmrec.prompting.support import ground_intent, ground_summary
from llmrec.prompting.variables import content_variables, product_variables

__all__ = [
    "ParsedIntent",
    "ParsedJudgement",
    "ParsedSummary",
    "Prompt",
    "Rendered",
    "content_variables",
    "ground_intent",
    "ground_summary",
    "load_prompt",
    "parse_intent",
    "parse_intents",
    "parse_judgement",
    "parse_summary",
    "product_variables",
    "prompt_names",
]
