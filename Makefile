# What people type. `make help` lists it. Every target builds with the one profile, so that running and testing share a build.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
FEATURES := --features test-clock
LISTEN ?= 127.0.0.1:8181
DATA ?= data
POLICIES ?= policies
BUILD := $(or $(CARGO_TARGET_DIR),target)
FIGURES ?= $(BUILD)/figures.jsonl

# Which fuzz target, and for how long. Builds of fuzz targets go where nothing is shared with others.
SECONDS ?= 600
FUZZ_DIR ?= $(HOME)/.cache/elevon-fuzz

.PHONY: help tools run test test-long corpus bench bench-edge bench-gateway figures fmt lint deny fuzz dist

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

tools: ## Install what the build needs and this machine lacks
	@scripts/tools

run: tools ## Build, start a server on policies/ and data/, and print the walk-through
	$(CARGO) build --release --locked $(FEATURES)
	@scripts/walkthrough $(LISTEN)
	$(BUILD)/release/elevon serve --policies $(POLICIES) --data $(DATA) --listen $(LISTEN) --dev

test: export ELEVON_TEST_TOOLS := 1
test: tools ## Every test that a change has to pass
	$(CARGO) test --release --locked $(FEATURES) --doc
	$(CARGO) test --release --locked $(FEATURES) --lib --bins --tests --no-run
	scripts/tools-test tests/oidc/requirements.txt
	scripts/tools-gateways
	tests/schemathesis/run $(BUILD)/release/elevon
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --release --locked $(FEATURES); \
	else \
		$(CARGO) test --release --locked $(FEATURES) --lib --bins --tests; \
	fi

test-long: tools ## The same tests, with more random cases (a million questions of policies laid out) and more swaps
	ELEVON_LONG=1 ELEVON_HISTORIES=50000 ELEVON_SLICES=20000 PROPTEST_CASES=20000 $(CARGO) test --release --locked $(FEATURES)

corpus: tools ## Cedar's recorded answers, those of the archive CEDAR_CORPUS=FILE, against the evaluator; ends with a line `N passed, N failed`
	@report=$$(mktemp); status=0; \
	CEDAR_CORPUS="$(CEDAR_CORPUS)" CEDAR_CORPUS_REPORT=$$report \
		$(CARGO) test --release --locked $(FEATURES) --lib policy::tests::corpus >/dev/null || status=$$?; \
	cat $$report; rm -f $$report; exit $$status

bench: tools ## What a check costs, in process and over HTTP beside bare hyper; commands, swaps, memory, start. Rows go into FIGURES
	@mkdir -p $(dir $(FIGURES))
	scripts/figures --machine | tee $(FIGURES)
	$(CARGO) bench --profile release --locked $(FEATURES) --bench check --bench scale --bench alerts --bench memberships --bench revoke --bench http | tee -a $(FIGURES)

figures: ## The table and the plot of docs/performance.md, from what `make bench` and `make bench-gateway` wrote into FIGURES
	scripts/figures $(FIGURES)

bench-edge: tools ## What 2,000 slow connections and a flood of resets cost a well-behaved client
	$(CARGO) bench --profile release --locked $(FEATURES) --bench edge

bench-gateway: tools ## Envoy with Elevon beside Envoy with a server that always allows; installs Envoy. Rows go into FIGURES
	@mkdir -p $(dir $(FIGURES))
	@[ -e $(FIGURES) ] || scripts/figures --machine >$(FIGURES)
	@scripts/tools-gateways >/dev/null
	$(CARGO) bench --profile release --locked $(FEATURES) --bench gateway | tee -a $(FIGURES)

fmt: ## Format
	$(CARGO) fmt

lint: tools ## What formatting and clippy have to say
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets $(FEATURES) -- -D warnings

deny: ## Licences, advisories, sources and doubles of what is depended on; installs cargo-deny when it is missing
	$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --locked
	$(CARGO) deny --locked --all-features check

fuzz: ## Fuzz one TARGET for SECONDS (600 unless said), beginning with its seeds; installs cargo-fuzz when it is missing
	@scripts/fuzz "$(BUILD)" "$(SECONDS)" "$(FUZZ_DIR)"

dist: tools ## The binary that ships: one file, without the clock that tests move
	$(CARGO) build --profile dist --locked
	@ls -l $(BUILD)/dist/elevon
