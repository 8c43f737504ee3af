# Two commands for newcomers: `make demo` and `make test`. Each sets up all that it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Network namespaces and iptables rules are made with programs that are not on everybody's PATH.
TOOLS  := $(CURDIR)/$(BIN):$$PATH:/usr/sbin:/sbin
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help demo dashboard screenshots test lint unit integration test-e2e test-gitops binaries bench-judges bench-mesh bench-cli chaos lock format generate clean

help: ## Show what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamp is renewed whenever the locked versions or our own metadata change.
$(VENV)/.installed: locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Coalmine needs Python 3.11 or later; name one with: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV) || { echo "Python lacks venv: install it (Debian: apt install python3-venv) and run make again"; exit 1; }
	@echo "Installing the locked dependencies into $(VENV) (a minute the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement locks/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Node.js is the machine's, or comes with the locked Python packages; npm's packages stay in the user's cache folder.
PAGES := rollouts/dashboard/static/index.html
$(PAGES): $(VENV)/.installed tools/npm.py tools/dashboard/build.py $(shell find dashboard -type f -not -path '*/node_modules/*')
	@echo "Building the dashboard's pages …"
	@$(BIN)/python tools/dashboard/build.py

dashboard: $(PAGES) ## Build the dashboard's pages

screenshots: $(PAGES) binaries ## Take the README's pictures of a real release (minutes)
	PATH="$(TOOLS)" $(BIN)/python tools/screenshots/live.py docs/images
	$(BIN)/python tools/screenshots/slack.py docs/images/slack.png

demo: $(VENV)/.installed $(PAGES) ## Four releases of a small shop on a real Kubernetes API and real Envoys
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/coalmine demo $(ARGS)

test: lint unit integration ## Everything that CI runs

lint: $(VENV)/.installed ## Style, types (of the pages, too), layers, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python tools/dashboard/build.py check

unit: $(VENV)/.installed $(PAGES) ## Tests without servers
	$(BIN)/pytest tests/unit --numprocesses 2 --cov --cov-report=term:skip-covered $(ARGS)

binaries: $(VENV)/.installed ## Get the programs that tests run into the cache (minutes when they must be built)
	$(BIN)/coalmine local binaries
	$(BIN)/python tests/tools/prometheus/build.py prometheus
	$(BIN)/python tests/tools/prometheus/build.py promtool
	$(BIN)/python tests/tools/opentelemetry/build.py
	$(BIN)/python tests/tools/gitops/build.py helm
	$(BIN)/python tests/tools/chromium/build.py

# A test that failed runs once more, since a machine may stand still for seconds; the summary names it as RERUN.
# Three at once on two cores: releases mostly wait. More would need more inotify instances than a user has.
integration: $(VENV)/.installed $(PAGES) binaries ## Tests against the real kube-apiserver, Envoys, Prometheus and OpenTelemetry SDK
	PATH="$(TOOLS)" $(BIN)/pytest tests/integration --numprocesses 3 --dist loadfile --no-loadscope-reorder --reruns 1 --durations 20 $(ARGS)

# Root, Go, and Debian's runc, containernetworking-plugins, iptables and busybox-static; without them it is skipped.
test-e2e: $(VENV)/.installed binaries ## Tests in pods of a real kubelet (root; builds containerd and kubelet once)
	PATH="$(TOOLS)" $(BIN)/pytest tests/cluster $(ARGS)

# Go; the engines of Flux and Argo CD are built once, some minutes each.
test-gitops: $(VENV)/.installed binaries ## Releases under the real engines of Flux and Argo CD (builds them once)
	$(BIN)/python tests/tools/gitops/build.py flux
	$(BIN)/python tests/tools/gitops/build.py argo
	PATH="$(TOOLS)" COALMINE_GITOPS_ENGINES=1 $(BIN)/pytest tests/integration/release/gitops $(ARGS)

# CHAOS_SEED=n makes people and trouble come in that order again; what they meet depends on the machine.
chaos: $(VENV)/.installed binaries ## Five minutes of releases while controllers are killed at random (CHAOS_SECONDS=60: one)
	PATH="$(TOOLS)" CHAOS_SECONDS=$${CHAOS_SECONDS:-300} $(BIN)/pytest tests/integration/release/chaos/test_release_chaos.py -s $(ARGS)

bench-judges: $(VENV)/.installed ## Our judge beside the rivals' rules on simulated releases (ARGS=--quick: minutes)
	$(BIN)/python -m benchmarks.judges.run $(ARGS)

bench-cli: $(VENV)/.installed binaries ## How long the command line takes to start, and to look at 500 Rollouts
	$(BIN)/python -m benchmarks.cli.run $(ARGS)

bench-mesh: $(VENV)/.installed ## What a sidecar adds to a request, and how fast weights reach 200 proxies (two minutes)
	$(BIN)/python -m benchmarks.mesh.hop
	$(BIN)/python -m benchmarks.mesh.propagation

generate: $(VENV)/.installed ## Write the CRDs, diagrams and golden files anew
	$(BIN)/coalmine crds generate
	COALMINE_REGENERATE=1 $(BIN)/pytest tests/unit --quiet

format: $(VENV)/.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# No index addresses in the lock: whichever index the machine is set up with serves, and the hashes hold.
lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --no-header --group dev pyproject.toml --output-file locks/dev.txt

clean: ## Remove what make made in this checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
