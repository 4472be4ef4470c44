"""Language models behind one seam: local weights through transformers, or any OpenAI-compatible server.

::

    from llmrec.llm import load_generator
    from llmrec.records import GenerationSettings, Message
    model = load_generator("starter:smollm2-135m")
    model.generate([(Message("user", "Name one fruit."),)], GenerationSettings(max_new_tokens=8))
"""

from llmrec.llm.captions import load_captioner
from llmrec.llm.consensus import ConsensusGenerator
from llmrec.llm.load import load_generator

__all__ = ["ConsensusGenerator", "load_captioner", "load_generator"]
