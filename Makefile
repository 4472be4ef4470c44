# make demo: set up and run the main job end to end.   make test: set up and prove it.   make check: lint, types, rules.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# extra flags for pip, e.g. an index with CPU-only builds of torch
PIP_FLAGS ?=
# the models that the tests load; the demo pulls its own
TEST_MODELS := starter:smollm2-135m starter:minilm starter:whisper-base starter:potion-base-8m starter:mobilenet-v2
ifneq ($(wildcard ../shared/data),)
export LLMREC_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test check install models clean
.DEFAULT_GOAL := demo

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "llmrec needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "== installing llmrec and its pinned dependencies into $(VENV) (some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[video,train,dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/llmrec demo --output demo-output

models: $(STAMP)
	@echo "== starter models for the tests (cached after the first time)"
	@$(BIN)/llmrec models pull $(TEST_MODELS)

# two workers of one thread each: the suite is many small jobs, and two threads a job fight on two cores
test: $(STAMP) models
	@echo "== tests"
	@OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)
	@echo "== ruff, mypy, import rules"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_import_rules.py

clean:
	rm -rf $(VENV) demo-output build dist .pytest_cache .mypy_cache .ruff_cache
