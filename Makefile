# Everything a user or a developer runs; `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup train report look list test fuzz soak sanitize crash check coverage lint oldest next parity interop bridge pretrained golden trust truth tables bench data notebooks docs clean

EXP ?=
RUN ?=
ARGS ?=
PARTS ?=
DEVICE ?=
SEED ?= 1
CASES ?= 1000
POINTS ?= 200

# The first Python that is new enough; name another with PYTHON=...
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python,$(shell \
	command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
py := .venv/bin/python
ready := .venv/.ready
ready_dev := .venv/.ready-dev
kernel := .venv/.ready-kernel
parity_py := .parity/bin/python
ready_parity := .parity/.ready
bridge_py := .bridge/bin/python
interop_env := $(if $(filter --all,$(ARGS)),.interop-all,.interop)
# Nothing is installed but what a lock names by hash, and no source is built.
locked := -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --only-binary :all:
.PHONY: lock audit package sbom

help: ## list these targets
	@echo "usage: make TARGET [EXP=experiment] [ARGS='--train.epochs 3'] [RUN=runs/...] [PARTS=train]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

ifneq ($(and $(filter setup,$(MAKECMDGOALS)),$(filter-out cuda tpu,$(DEVICE))),)
$(error DEVICE=$(DEVICE) is unknown: it is cuda or tpu, or nothing for the CPU alone)
endif

setup: $(ready) $(kernel) $(DEVICE:%=.venv/.ready-%) ## make .venv from the locks, by hash (DEVICE=cuda or tpu adds an accelerator)

train: $(ready) $(kernel) ## train EXP and report on it (ARGS=--resume goes on with its last run)
	@test -n "$(EXP)" || { echo "which experiment? make train EXP=..., one of:"; $(py) -m experiments list; exit 2; }
	@$(py) -m experiments $(EXP) $(ARGS)

report: $(ready) ## draw the figures and the report of RUN again (the newest by default)
	@$(py) -m experiments report $(RUN) $(ARGS)

# Texts and paths reach the shell by the environment, so any quote or dollar sign may stand in them.
look: export LOOK_MODEL = $(value MODEL)
look: export LOOK_TEXT = $(value TEXT)
look: export LOOK_TEXT2 = $(value TEXT2)
look: export LOOK_IMAGE = $(value IMAGE)
look: export LOOK_AUDIO = $(value AUDIO)
given = $(if $(filter undefined,$(origin $1)),,$2)
look: $(ready) ## show the attention of a checkpoint on a page (MODEL=minilm TEXT='...', or IMAGE=, AUDIO=)
	@test -n "$$LOOK_MODEL" || { echo "which model? make look MODEL=minilm TEXT='...'"; exit 2; }
	@$(py) -m experiments look "$$LOOK_MODEL" $(call given,TEXT,--text="$$LOOK_TEXT") $(call given,TEXT2,--text2="$$LOOK_TEXT2") \
		$(call given,IMAGE,--image="$$LOOK_IMAGE") $(call given,AUDIO,--audio="$$LOOK_AUDIO") $(ARGS)

list: $(ready) ## list the experiments, a line each
	@$(py) -m experiments list

test: $(ready) ## run the tests
	$(py) -m pytest -n auto --dist loadfile -q $(ARGS)

fuzz: $(ready) ## damage the files of a run, and call every public function, in new ways (SEED=2 CASES=1000)
	ATTN_JAX_FUZZ_SEED=$(SEED) ATTN_JAX_FUZZ_CASES=$(CASES) $(py) -m pytest -n 0 -q tests/fuzz $(ARGS)

crash: $(ready) ## kill training, reports, fetches and caches at 200 points (POINTS=50), and start them again
	$(py) tests/crash/crash.py $(POINTS)

soak: $(ready) ## call every public function 350 times, and see that memory does not grow
	ATTN_JAX_SOAK=1 $(py) -m pytest -n 0 -q tests/soak $(ARGS)

sanitize: $(ready) ## run the compiled kernels for CPUs under the address, undefined and thread sanitizers
	$(py) -m pytest -n 0 -q -rs kernels/cpu/tests $(ARGS)

# Coverage is measured apart: before Python 3.14 it lengthens the tests by three quarters.
check: lint audit ## the whole gate: lint, types, imports, supply, tests, notebooks and docs
	$(MAKE) test
	$(MAKE) docs

coverage: ## run the tests, and print the lines and branches that none of them reaches
	$(MAKE) test ARGS='--cov --cov-report=term:skip-covered $(ARGS)'

lint: $(ready_dev)
	$(py) -m ruff check .
	$(py) -m ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/basedpyright

audit: $(ready_dev) ## write build/licenses.md, refusing licenses like the GPL, and ask for known vulnerabilities
	@mkdir -p build
	.venv/bin/pip-licenses --format markdown --output-file build/licenses.md
	$(py) requirements/audit.py

lock: $(ready_dev) ## write the locks again from pyproject.toml (ARGS=--upgrade takes the newest versions)
	requirements/lock.sh $(ARGS)

package: $(ready_dev) ## build what a release is into dist/, check it, and install it alone from the registry
	@rm -rf dist
	.venv/bin/uv build --quiet --no-build-isolation --python $(py) --out-dir dist
	$(py) -m twine check --strict dist/*
	ATTN_JAX_PACKAGE=1 $(py) -m pytest -n 0 -q tests/test_wheel.py

sbom: $(ready_dev) ## write build/sbom.json, the bill of materials to publish beside a release
	@mkdir -p build
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-build-isolation -c requirements/base.lock --extra all -o build/requirements.txt pyproject.toml
	.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type library \
		--output-reproducible --of JSON -o build/sbom.json build/requirements.txt

oldest: .oldest/.ready ## test hooks and the fused attention on the oldest jax and flax admitted, apart
	.oldest/bin/python -m pytest -q tests/hooks tests/ops/fused/test_fused.py tests/ops/fused/test_attention_fn.py

next: $(ready) ## test hooks with the flags of JAX's next engine
	JAX_REMAT3=1 JAX_CUSTOM_VJP3=1 $(py) -m pytest -n auto -q tests/hooks

parity: $(ready_parity) .peers-lens/installed.lock ## compare with PyTorch, transformers, TransformerLens, entmax, captum and highway-env on fresh random inputs
	$(parity_py) -m pytest -q -rs tests/parity $(ARGS)

interop: $(interop_env)/.ready ## try models of other libraries, and write docs/interop.md (ARGS=--all tries those of gigabytes)
	$(interop_env)/bin/python -m pytest -q -rs tests/interop $(ARGS)

bridge: .bridge/.ready ## open PyTorch models of transformers, and write docs/bridge.md (in .bridge/)
	$(bridge_py) -m pytest -q -rs tests/bridge $(ARGS)

pretrained: $(ready_dev) ## compare real weights, fetched once by hash, with what transformers recorded; run their notebooks
	ATTN_JAX_REAL_WEIGHTS=1 $(py) -m pytest -n 0 -q -rs tests/pretrained/test_real_weights.py tests/pretrained/test_real_alignments.py tests/pretrained/test_notebooks.py tests/pretrained/test_snippets.py $(ARGS)

golden: $(ready_parity) ## write the golden files of tests/golden again, with what those packages give
	@cd tests/golden && for script in make_golden_*.py; do PYTHONPATH=../.. ../../$(parity_py) $$script || exit 1; done

trust: $(ready) ## count how often the report card errs on models whose truth is known (ARGS='--seeds 300:600')
	@$(py) -m experiments.trust $(ARGS)

truth: $(ready) $(kernel) ## train the tasks whose truth is known, and see which way of asking finds it (TASKS=a,b SEEDS=0,1)
	@$(py) -m experiments.truth $(if $(TASKS),--tasks "$(TASKS)") $(if $(SEEDS),--seeds "$(SEEDS)")
	@$(py) -m experiments.truth table

tables: $(ready) $(kernel) ## train every model of MNIST and translation on three seeds, for the tables (ROWS=mnist SEEDS=0,1)
	@$(py) -m experiments.tables $(if $(ROWS),--rows "$(ROWS)") $(if $(SEEDS),--seeds "$(SEEDS)") $(ARGS)
	@$(py) -m experiments.tables draw

bench: $(ready) $(kernel) ## measure speed and memory beside peers (PARTS=train names some; peers get an environment of their own)
	@$(py) -m experiments.benchmarks $(PARTS)

data: $(ready) ## fetch and verify MNIST
	@$(py) -m attn_jax.tasks

notebooks: $(ready_dev) ## execute the notebooks that need weights or train for long, and store their outputs in docs/stored
	$(py) docs/_ext/stored.py

docs: $(ready_dev) ## build the documentation, running its notebooks; warnings are errors
	$(py) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Documentation: docs/_build/html/index.html"

clean: ## remove what was built, not runs/ and not .venv/
	rm -rf build dist docs/_build docs/generated .pytest_cache .ruff_cache .hypothesis .coverage

# The peers stand on the packages of .venv, which a .pth file lends them. PyTorch's CPU build is taken
# where pip finds one; the registry's own brings gigabytes of CUDA.
purelib := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

.parity/.ready .bridge/.ready: .%/.ready: requirements/%.lock requirements/%-cpu.lock $(ready_dev)
	@echo "Setting up .$*, with PyTorch and transformers (a few minutes, once)"
	@$(py) -m venv --clear .$*
	@$(py) $(purelib) > "$$(.$*/bin/python $(purelib))/project.pth"
	@.$*/bin/python $(locked) -r requirements/$*-cpu.lock || .$*/bin/python $(locked) -r requirements/$*.lock
	@touch $@

.peers-lens/installed.lock: requirements/lens.lock requirements/lens-cpu.lock $(ready)
	@$(py) -c 'from experiments.benchmarks.peers import lens_python; lens_python()'
	@touch $@

.interop/.ready .interop-all/.ready: .%/.ready: requirements/%.lock $(ready_dev)
	@echo "Setting up .$*, with models of other libraries (a minute, once; with --all, some more)"
	@$(py) -m venv --clear .$*
	@$(py) $(purelib) > "$$(.$*/bin/python $(purelib))/project.pth"
	@.$*/bin/python $(locked) -r $<
	@touch $@

$(ready): requirements/base.lock requirements/build.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer was found; make PYTHON=/path/to/python3 names one"; exit 1; }
	@$(PYTHON) requirements/setup.py

$(ready_dev): $(ready) requirements/dev.lock
	@echo "Adding the developers' tools to .venv"
	@$(py) $(locked) --no-binary promise --no-build-isolation -r requirements/dev.lock
	@touch $@

# Where they cannot be built, one line says why, and attention is computed without them.
$(kernel): kernels/cpu/build.py kernels/cpu/flags.json $(wildcard kernels/cpu/src/* kernels/cpu/attn_jax_cpu/*.py) $(ready)
	@echo "Building the compiled kernels for CPUs (half a minute, once)"
	@$(py) kernels/cpu/build.py "$$($(py) $(purelib))" || true
	@touch $@

.venv/.ready-cuda .venv/.ready-tpu: .venv/.ready-%: requirements/%.lock $(ready)
	@echo "Adding jax for $* to .venv"
	@$(py) $(locked) -r $<
	@touch $@

.oldest/.ready: requirements/oldest.lock
	@test -x .oldest/bin/python || $(PYTHON) -m venv .oldest
	@.oldest/bin/python $(locked) -r $<
	@touch $@
