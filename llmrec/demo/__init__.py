"""The main job end to end, on the shipped sample or a folder of the user's own."""

from llmrec.demo.data import DemoData, find_data, sample_folder
from llmrec.demo.page import PageData, Tile, write_page
from llmrec.demo.run import DemoResult, run_demo

__all__ = ["DemoData", "DemoResult", "PageData", "Tile", "find_data", "run_demo", "sample_folder", "write_page"]
