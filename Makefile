# Two commands are all a new user needs: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
EDGE ?= $(VENV)-edge
DOCS ?= $(VENV)-docs
LOWEST ?= $(VENV)-lowest
DEMO ?= recipes/hapt/few-labels.yaml
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help demo ship environment test test-edge test-lowest quick lint format docs tutorials clean

help:
	@echo "make demo    make the environment, fetch the data, run $(DEMO), write its report, ship its best student as int8"
	@echo "make test    make the environment and run every check: ruff, mypy, import-linter, pytest"
	@echo "make quick   the fast tests alone"
	@echo "make test-edge  the tests of files for devices, with their tools in an environment of its own"
	@echo "make test-lowest  formulas, statistics and small studies with the lowest versions that pyproject.toml allows, and no extras"
	@echo "make format  format the code"
	@echo "make tutorials  run the tutorials of docs/tutorials and write their pages and figures: NAMES=wrist for one"
	@echo "make docs    build the site from docs/ into site/; a link that leads nowhere is an error"

demo: environment
	$(BIN)/tutelage run $(DEMO)
	@$(MAKE) --no-print-directory ship RUN=runs/$(subst /,-,$(patsubst recipes/%.yaml,%,$(DEMO)))

# Files for devices, each held against its run: make ship RUN=runs/NAME. Where the tools of microcontrollers are not to be had, ONNX alone.
ship: $(VENV)/.export
	@if $(MAKE) --no-print-directory $(EDGE)/.tools; \
	then $(EDGE)/bin/python -m tutelage ship $(RUN) --to shipped/demo --force; \
	else echo "without TensorFlow Lite: its tools could not be installed here"; \
	  $(BIN)/tutelage ship $(RUN) --to shipped/demo --formats onnx,onnx-int8 --force; fi

environment: $(VENV)/.core

# Two processes of one thread each: networks this small do not fill more.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# What a change breaks most often, below two minutes: formulas, nouns, recipes, statistics, tables; nothing is trained.
quick: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" tests/losses tests/terms tests/weighting tests/statistics tests/audit tests/recipe/test_reader.py tests/recipe/test_resolve.py tests/test_*.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Only what the demo needs: no torchvision, no test tools.
$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed, found {v.major}.{v.minor}; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (PyTorch is large: one to three minutes)"
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "installing the test tools into $(VENV)"
	$(PIP) --editable '.[dev]'
	touch $@

$(VENV)/.export: $(VENV)/.core
	@echo "installing ONNX into $(VENV)"
	$(PIP) --editable '.[export]'
	touch $@

# The converter's own dependencies change what other libraries import: they live beside the first environment.
test-edge: $(VENV)/.dev $(EDGE)/.tools
	$(EDGE)/bin/python -m pytest tests/export

$(EDGE)/.tools: $(VENV)/.export edge.txt
	test -x $(EDGE)/bin/python || $(PYTHON) -m venv $(EDGE)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > "$$($(EDGE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/first.pth"
	@echo "installing the tools for devices into $(EDGE) (0.8 GB, about a minute)"
	$(EDGE)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -r edge.txt
	touch $@

# Where a page stands, what links to what and which docstrings there are: mkdocs.yml, docs/site_hooks.py, docs/site_docstrings.py.
docs: $(DOCS)/.tools
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --clean --quiet
	@echo "site/index.html; with search: python -m http.server --directory site"

# Below a minute each, on one core. What they print and draw is kept in the repository, so that make docs trains nothing.
tutorials: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python docs/tutorials/render.py $(NAMES)

# What a person without extras has, in the oldest versions that are allowed: 3 GB with its own PyTorch, so not in CI.
test-lowest: $(LOWEST)/.tools
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile tests/test_evaluate.py tests/losses tests/terms tests/weighting \
	    tests/statistics tests/recipe/test_resolve.py tests/training/test_protocols.py tests/report/test_page.py

$(LOWEST)/.tools: pyproject.toml
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet uv
	$(LOWEST)/bin/uv pip compile --quiet --python $(LOWEST)/bin/python --resolution lowest-direct pyproject.toml --output-file $(LOWEST)/lowest.txt
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python -r $(LOWEST)/lowest.txt pytest pytest-xdist hypothesis
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --no-deps --editable .
	touch $@

# The site's tools stand beside the first environment, whose package tells the commands and the schemas.
$(DOCS)/.tools: $(VENV)/.core
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@echo "installing the tools of the site into $(DOCS)"
	$(DOCS)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt \
	  $$($(DOCS)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")')
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > "$$($(DOCS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/first.pth"
	touch $@

clean:
	rm -rf $(VENV) $(EDGE) $(DOCS) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
