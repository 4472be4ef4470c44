"""Products to grounded summaries, contents to shopping intents, by any language model.

::

    from llmrec.llm import load_generator
    from llmrec.summarize import Summarizer
    summarizer = Summarizer(load_generator("starter:smollm2-135m"))
    for summary in summarizer.summarize(products):
        print(summary.headline, summary.highlights, summary.problems)
"""

from llmrec.summarize.intents import Intents, IntentWriter
from llmrec.summarize.parts import parts_of
from llmrec.summarize.report import Report
from llmrec.summarize.writers import Summarizer, summary_text

__all__ = ["IntentWriter", "Intents", "Report", "Summarizer", "parts_of", "summary_text"]
