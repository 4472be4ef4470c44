"""Recipes: strict YAML for training jobs; all faults are reported at once. Imports no torch.

::

    from llmrec.recipes import load_recipe
    recipe = load_recipe("summarize-lora-cpu", ["training.epochs=1"])
"""

from llmrec.recipes.reading import dump_recipe, load_recipe, parse_recipe
from llmrec.recipes.schema import LOW_RANK, VIRTUAL_TOKENS, Data, Evaluation, Method, Recipe, Training
from llmrec.recipes.shipped import shipped_recipes

__all__ = [
    "LOW_RANK",
    "VIRTUAL_TOKENS",
    "Data",
    "Evaluation",
    "Method",
    "Recipe",
    "Training",
    "dump_recipe",
    "load_recipe",
    "parse_recipe",
    "shipped_recipes",
]
