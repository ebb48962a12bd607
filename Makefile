# Everything works from a fresh clone: each target makes its own virtual environment first, when there is none.
# Arguments are passed on: make demo ARGS="--keep", make test ARGS="-k spool".

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   :=
PYTHON :=

# Suites by how long they take. The quick ones are `make test`; the slow ones start real brokers, cut links, kill processes.
# MIXED have tests of both kinds; their slow ones are marked.
MIXED := tests/api tests/crash tests/deploy tests/docs
QUICK := tests/unit tests/model tests/conformance $(MIXED)
SLOW  := tests/outage tests/interop tests/fuzz tests/hostile tests/scenarios

.PHONY: openapi help demo run receive bench test test-slow test-properties test-conformance test-fuzz test-browser screenshots vendor fuzz-codec check reference format clean

help:
	@echo "make demo              the whole of it on this machine, with an outage and a crash, in about a minute"
	@echo "make run               the gateway, with gateway.yaml"
	@echo "make receive           the receiver, with receiver.yaml"
	@echo "make test              unit, model, conformance and quick crash tests"
	@echo "make test-slow         crashes, outages, bad peers, real clients and brokers, deploy/ with Prometheus"
	@echo "make test-properties   the properties and models, with random examples; PROPERTY_FACTOR times as many (4)"
	@echo "make test-browser      every page of the dashboard in a real Chromium"
	@echo "make test-conformance  other people's suites for brokers (docs/conformance.md), and a Mosquitto beside the gateway"
	@echo "make fuzz-codec        ten million inputs for the codec, guided by its coverage; FUZZ_RUNS says how many"
	@echo "make screenshots       the same once more for the pictures in docs/images"
	@echo "make vendor            fetch anew from npm what the dashboard borrows, and check it"
	@echo "make test-fuzz         a million mutated packets over the socket; FUZZ_PACKETS and FUZZ_SEED say how many and which"
	@echo "make check             ruff, mypy, import-linter"
	@echo "make bench             measure this machine, and write docs/benchmarks.md"
	@echo "make reference         write docs/reference from the code"
	@echo "make openapi           write docs/openapi.json, the description of the HTTP interface"
	@echo "make format            let ruff format the code"
	@echo "make clean             remove the virtual environment and the caches"
	@echo 'Arguments are passed on: make demo ARGS="--keep"'

demo: $(STAMP)
	@$(BIN)/fieldgate demo $(ARGS)

run: $(STAMP)
	@exec $(BIN)/fieldgate run $(ARGS)

receive: $(STAMP)
	@exec $(BIN)/fieldgate receive $(ARGS)

bench: $(STAMP)
	@$(BIN)/fieldgate bench $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(QUICK) -m "not slow" $(ARGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest $(SLOW) $(ARGS)
	$(BIN)/python -m pytest $(MIXED) -m slow $(ARGS)

# The same properties as in the quick suites, which are tried there with the same examples each time.
test-properties: export PROPERTY_FACTOR ?= 4
test-properties: $(STAMP)
	$(BIN)/python -m pytest tests/unit tests/model -m "hypothesis and not slow" $(ARGS)

test-conformance: $(STAMP)
	$(BIN)/python -m pytest tests/conformance -rs $(ARGS)

# atheris has no wheels for some machines, and the rest of the project does not need it: it stays in a folder of its own.
FUZZ_RUNS := 10000000
fuzz-codec: export PYTHONPATH := $(VENV)/fuzz
fuzz-codec: $(STAMP)
	@$(BIN)/python -c 'import atheris' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target $(VENV)/fuzz \
	    -r tests/fuzz/requirements.txt \
	  || { echo "The codec is not fuzzed: atheris can't be had for this Python and machine; pip says why above."; exit 0; }; \
	$(BIN)/python tests/fuzz/codec_atheris.py -runs=$(FUZZ_RUNS) $(ARGS)

test-fuzz: export FUZZ_PACKETS ?= 1000000
test-fuzz: $(STAMP)
	$(BIN)/python -m pytest tests/fuzz -s $(ARGS)

test-browser: $(STAMP)
	$(BIN)/python -m pytest tests/browser -rs $(ARGS)

screenshots: export FIELDGATE_SCREENSHOTS := docs/images
screenshots: $(STAMP)
	$(BIN)/python -m pytest tests/browser/test_screenshots.py $(ARGS)

vendor: $(STAMP)
	$(BIN)/python tools/vendor.py renew

# All of them run, so that one look shows everything that is wrong.
check: $(STAMP)
	@code=0; \
	for command in "ruff check ." "ruff format --check ." mypy lint-imports; do \
	  echo "$$command"; \
	  $(BIN)/$$command || code=1; \
	done; \
	exit $$code

# Pages that are made from the code; a test holds them against it.
reference: $(STAMP)
	@$(BIN)/python docs/make_reference.py

openapi: $(STAMP)
	$(BIN)/python docs/make_openapi.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage

# The first interpreter that is new enough and can make virtual environments; PYTHON=/path/to/python names one by hand.
$(STAMP): pyproject.toml
	@set -e; \
	python=; \
	for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    python=$$candidate; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Fieldgate needs Python 3.11 or newer with its venv module, and there is none here." >&2; \
	  echo "Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3." >&2; \
	  exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version): a minute or two ..."; \
	rm -f $(STAMP); \
	[ -x $(BIN)/python ] && $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || "$$python" -m venv --clear $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' || { \
	  echo "The dependencies could not be installed; pip says why above." >&2; exit 1; }; \
	touch $(STAMP)
