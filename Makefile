# The whole developer interface. Every target sets up what it needs.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt
XRAY_DATA ?= $(wildcard ../shared/data/baggage)
export XRAY_DATA
export YOLO_OFFLINE := true
export YOLO_AUTOINSTALL := false

.PHONY: help demo mcp serve test check bench load clients conformance format results clean

help: ## Show the targets.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/uv:
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

$(VENV)/.light: $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing the light dependencies ..."
	@$(UV) --editable .
	@touch $@

$(VENV)/.full: $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing everything that tests and training need (PyTorch is large; about two minutes) ..."
	@$(UV) --editable '.[train,dev]'
	@touch $(VENV)/.light $(VENV)/.mcp $(VENV)/.serve $@

demo: $(VENV)/.light ## Screen the demo scans; overlays go to out/demo.
	@echo "Screening examples/scans ..."
	@$(BIN)/python examples/screen_folder.py examples/scans out/demo

$(VENV)/.mcp: $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing the light dependencies and the MCP server ..."
	@$(UV) --editable '.[mcp]'
	@touch $(VENV)/.light $@

$(VENV)/.serve: $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing the light dependencies and the HTTP server ..."
	@$(UV) --editable '.[serve]'
	@touch $(VENV)/.light $(VENV)/.mcp $@

serve: $(VENV)/.serve ## Install the OpenAI-compatible server and say how to start it.
	@echo "Ready: $(BIN)/xray-serve   (then http://127.0.0.1:8000/docs)"

mcp: $(VENV)/.mcp ## Install the MCP server and say how to connect an agent.
	@echo "Ready: $(BIN)/xray-mcp install claude-code --root examples/scans   (or claude-desktop, cursor, vscode)"

test: $(VENV)/.full ## Run every test.
	@echo "Running every test ..."
	@$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.full ## Formatting, lint and strict types.
	@echo "Checking format, lint and types ..."
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/.full ## Format the code and sort its imports.
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: $(VENV)/.full ## Measure speed: against Ultralytics' own predict, of both servers, and of the simulator.
	@$(BIN)/python bench/speed.py
	@$(BIN)/python bench/protocol.py
	@$(BIN)/python bench/serve.py
	@$(BIN)/python bench/simulator.py

load: $(VENV)/.full ## 5,000 requests, poison and failures against the HTTP server.
	@XRAY_LOAD_REQUESTS=5000 $(BIN)/python -m pytest -q -s tests/servers/http/test_load.py

clients: $(VENV)/.full ## The same calls through six MCP and eight OpenAI clients, each in its own environment.
	@echo "Trying six MCP and eight OpenAI clients (the first run installs them) ..."
	@$(BIN)/python tests/clients/run.py --json out/clients/record.json

conformance: $(VENV)/.full out/node/.installed ## Run the MCP conformance suite and the Inspector (npm installs them the first time).
	@$(BIN)/python -m tests.servers.conformance.run --node out/node --out out/conformance

out/node/.installed:
	@command -v npm >/dev/null || { echo "npm is needed to install the conformance suite."; exit 2; }
	@echo "Installing the conformance suite and the Inspector ..."
	@npm install --silent --no-audit --no-fund --prefix out/node node@22 \
		@modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0 \
		compatcanary@0.2.2 openai@6.49.0
	@touch $@

HELD_OUT := out/evals/held-out
SPEED := out/bench/speed.json

results: $(VENV)/.full ## Score both models on test scans, real and simulated; writes evals/ (run `make bench` before, for speed).
	@test -n "$(XRAY_DATA)" || { echo "Set XRAY_DATA to the folder of real scans."; exit 2; }
	@echo "Simulating the held-out scanners (made once; goes on where it was stopped) ..."
	@$(BIN)/xray-train data simulate --out $(HELD_OUT) --count 400 --seed 900000 --scanner hazel --scanner juniper --most 5 --split test
	@echo "Scoring the default model ..."
	@$(BIN)/xray-eval detector --data "$(XRAY_DATA)" --simulated $(HELD_OUT) --peer --robustness --ablations \
		$$(test ! -f $(SPEED) || echo --speed $(SPEED)) --out evals --record
	@echo "Scoring the model that saw no real scan ..."
	@$(BIN)/xray-eval detector --data "$(XRAY_DATA)" --simulated $(HELD_OUT) --model simulated --out evals/simulated --record
	@echo "Holding the evidence against the simulator's truth ..."
	@$(BIN)/xray-eval evidence --simulated $(HELD_OUT) --out evals --record

clean: ## Remove what the targets made, but for the virtual environment.
	@rm -rf out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
