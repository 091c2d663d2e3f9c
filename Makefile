# Everything runs in .venv, with the versions of constraints.txt. `make demo` and `make test` need
# nothing before them but Python 3.11 and make.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := dev,app,docs,documents,onnx,ray,search,serve,tensorboard,tune

.DEFAULT_GOAL := help
.PHONY: help setup demo app serve docs notebooks release-check test matrix survival lint format reference bench clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

setup: $(STAMP) ## Make .venv with the tested versions

$(STAMP): pyproject.toml constraints.txt
	command -v $(PYTHON) >/dev/null || { echo "Expected $(PYTHON) on the PATH; set PYTHON=... to a Python >= 3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

demo: $(STAMP) ## Train a small Longformer to answer Portuguese questions, in minutes
	$(BIN)/qa-lightning fit --config configs/demo.yaml

app: $(STAMP) ## Serve a page that asks documents, read by the demo's model (after `make demo`)
	$(BIN)/qa-lightning app --checkpoint runs/demo

lint: $(STAMP) ## Check style, types and the layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A file's tests stay on one process, in the order of their names: they share what they trained.
# (`xdist_group`, which would say so test by test, is not seen under pytest 9.2.)
test: lint ## Check everything: lint, types, and all tests with coverage
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile --no-loadscope-reorder -m "not slow and not matrix" --cov --cov-report=term:skip-covered

serve: $(STAMP) ## Serve the demo's reader (after `make demo`), on http://127.0.0.1:8000
	$(BIN)/qa-lightning serve --checkpoint runs/demo

matrix: $(STAMP) ## Take every family of encoders the whole way, and write its table into docs/reference/backbones.md
	$(BIN)/python tests/matrix_table.py
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} tests/test_matrix.py

# A machine with a GPU may have its own Python with torch in it: `make gpu PYTHON=python3` installs
# nothing and makes no .venv.
.PHONY: gpu
GPU_OWN := $(filter command environment,$(word 1,$(origin PYTHON)))
gpu: $(if $(GPU_OWN),,$(STAMP)) ## Test and measure on a GPU, and write benchmarks/RESULTS_GPU.md
	PYTHONPATH=src $(if $(GPU_OWN),$(PYTHON),$(BIN)/python) -m pytest -m gpu -p no:cacheprovider tests/test_gpu.py; \
	  status=$$?; PYTHONPATH=src $(if $(GPU_OWN),$(PYTHON),$(BIN)/python) benchmarks/gpu.py && exit $$status

# Older releases of torch are on PyPI for CUDA alone, with gigabytes beside them: it is the pinned one
# unless LOWEST_TORCH names another.
.PHONY: lowest
LOWEST := .venv-lowest
LOWEST_TORCH ?= $(shell grep '^torch==' constraints.txt)
COMMA := ,
lowest: ## Run all tests on the lower bounds of pyproject.toml, in an environment of their own
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv==0.13.9
	echo '$(LOWEST_TORCH)' > $(LOWEST)/torch.txt
	$(LOWEST)/bin/uv pip compile --quiet pyproject.toml --python $(LOWEST)/bin/python --resolution lowest-direct \
	  --constraint $(LOWEST)/torch.txt $(addprefix --extra ,$(subst $(COMMA), ,$(EXTRAS))) --output-file $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt --editable '.[$(EXTRAS)]'
	$(LOWEST)/bin/python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile --no-loadscope-reorder -m "not slow and not matrix" --ignore tests/test_versions.py

survival: $(STAMP) ## Run the slow tests: kills, broken files, long runs
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile --no-loadscope-reorder -m slow

format: $(STAMP) ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(STAMP) ## Write the commands' keys from the parsers, for help and completion
	$(BIN)/python -m qa_lightning.cli.referencing

bench: $(STAMP) ## Measure speed, memory and alignment, and write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

docs: $(STAMP) ## Build the documentation in build/site, strictly and without network
	$(BIN)/python docs/building/figures.py
	test -d build/notebooks || $(BIN)/python notebooks/running.py --small --output build/notebooks
	$(BIN)/python docs/building/make.py --notebooks build/notebooks

notebooks: $(STAMP) ## Run the notebooks whole, from clean kernels, into build/notebooks
	$(BIN)/python notebooks/running.py --output build/notebooks

release-check: $(STAMP) ## Build, look into what was built, and test it in a clean environment
	$(BIN)/python .ci/release_check.py

clean: ## Remove .venv, caches and what was built
	rm -rf $(VENV) $(LOWEST) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
