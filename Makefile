# mesh-operator: every command a developer or CI needs. `make` prints this list.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The flags of the images' programs, so that tests and images share what is compiled.
export GOFLAGS ?= -buildvcs=false -trimpath
export CGO_ENABLED ?= 0
export MESH_CACHE ?= $(HOME)/.cache/mesh-operator
# Name of the demo's local cluster; existing: the current context of your kubeconfig, driven with $KUBECTL (kubectl).
CLUSTER ?= demo
TEST_CLUSTER ?= test
BIN := .bin
OUT := .out
# The linter's cache remembers absolute paths, so it reports nonsense after another checkout of the same code was removed.
export GOLANGCI_LINT_CACHE ?= $(CURDIR)/$(BIN)/golangci-lint

# Scenarios that begin on an empty cluster, while the others tell one story on theirs.
EMPTY := ^(TestDemo|TestRemovalFromEveryState)$$

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## boot a local cluster, install the mesh and Bookinfo, prove that it works
	@go run ./e2e/demo up --name $(CLUSTER)

.PHONY: demo-down
demo-down: ## remove everything that make demo made
	@go run ./e2e/demo down --name $(CLUSTER)

.PHONY: urls
urls: ## print the demo's addresses, one "name url" a line
	@go run ./e2e/demo urls --name $(CLUSTER)

.PHONY: kubeconfig
kubeconfig: ## print the path of the demo's kubeconfig
	@go run ./e2e/demo kubeconfig --name $(CLUSTER)

# What a compiler keeps busy overlaps with tests that wait for processes; suites that mostly wait run side by side.
SIDE_BY_SIDE := $(MAKE) --no-print-directory --output-sync=target

.PHONY: test
test: ## run every test on clusters of its own (RACE=1: the unit tests under the race detector)
	@echo "test-unit, and what the clusters need (cold: a Kubernetes, ten minutes and more)"
	@$(SIDE_BY_SIDE) -j2 test-unit provisions
	@$(MAKE) --no-print-directory test-cluster
	@echo "side by side, about ten minutes: test-apiserver test-scenarios test-removal"
	@$(SIDE_BY_SIDE) -j3 test-apiserver test-scenarios test-removal

.PHONY: provisions
provisions: cluster images

.PHONY: test-unit
test-unit: envoy ## run the tests that need no cluster (real Envoy processes included)
	$(if $(RACE),CGO_ENABLED=1) go test -timeout 30m $(TEST_FLAGS) $(if $(RACE),-race) $$(go list ./... | grep -v -e /e2e/scenarios -e /e2e/apiserver)

.PHONY: test-cluster
test-cluster: cluster ## run the local cluster's own tests (needs root)
	cd e2e/cluster && go test -count=1 $(TEST_FLAGS) ./...

.PHONY: test-apiserver
test-apiserver: cluster ## test the operator on a real API server that fails and an operator that dies (needs no root)
	go test -count=1 -timeout 40m $(TEST_FLAGS) $(APISERVER_FLAGS) ./e2e/apiserver

# $(call on-cluster,NAME,FLAGS) boots a cluster, runs scenarios on it and removes it.
define on-cluster
@MAKEFLAGS= go run ./e2e/demo cluster --name $(1)
@status=0; MESH_CLUSTER=$(1) go test -count=1 -timeout 40m $(TEST_FLAGS) $(2) $(SCENARIO_FLAGS) ./e2e/scenarios || status=$$?; \
  if [ -z "$(KEEP)" ]; then MAKEFLAGS= go run ./e2e/demo down --name $(1) >/dev/null 2>$(OUT)/down-$(1) || cat $(OUT)/down-$(1) >&2; fi; exit $$status
endef

.PHONY: test-scenarios
test-scenarios: cluster images ## run the end-to-end scenarios on a fresh local cluster (needs root)
	$(call on-cluster,$(TEST_CLUSTER),-skip '$(EMPTY)')

.PHONY: test-removal
test-removal: cluster images ## run the scenarios that begin on an empty cluster (needs root)
	$(call on-cluster,$(TEST_CLUSTER)-empty,-run '$(EMPTY)')

.PHONY: check
check: modules fmt-check lint generate-check ## everything CI asks for
	@# The linter has vetted all of it. Vetting looks at every dependency, and once more for the race detector.
	@$(MAKE) --no-print-directory test RACE=1 TEST_FLAGS=-vet=off

# $(call patiently,COMMAND): Go does not ask again for a module that did not come.
patiently = ($(1)) || { sleep 10; ($(1)); } || { sleep 10; ($(1)); }

.PHONY: modules
modules: ## download the Go modules that the checks need
	@$(call patiently,go mod download)
	@$(call patiently,cd e2e/cluster && go mod download)
	@$(call patiently,go list -modfile=go.tool.mod -deps tool >/dev/null)

.PHONY: envoy
envoy: ## fetch the Envoy that the tests and the proxyv2 image use
	@go run ./e2e/images fetch envoy

.PHONY: bench
bench: ## measure what a change costs pilot, as ratios (see bench/README.md)
	go run ./bench stages
	go run ./bench inprocess

.PHONY: images
images: ## build all container images into .out/images
	@go run ./e2e/images build --out $(OUT)/images

.PHONY: cluster
cluster: $(BIN)/cluster ## build the local cluster's command and its Kubernetes
	@$(BIN)/cluster fetch

$(BIN)/cluster: $(wildcard e2e/cluster/*.go e2e/cluster/*/*.go e2e/cluster/*/*/*.go) e2e/cluster/go.mod
	cd e2e/cluster && go build -o ../../$@ ./cmd/cluster

.PHONY: build
build: ## build the binaries into .bin
	go build -o $(BIN)/ ./cmd/...

.PHONY: fmt
fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

.PHONY: fmt-check
fmt-check:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "not formatted (make fmt):"; echo "$$bad"; exit 1; }

.PHONY: vet
vet: ## run go vet alone; lint includes it
	go vet ./...
	cd e2e/cluster && go vet ./...

.PHONY: lint
lint: ## run golangci-lint, pinned in go.tool.mod
	go tool -modfile=go.tool.mod golangci-lint run ./...
	linter=$$(go tool -modfile=go.tool.mod -n golangci-lint) && cd e2e/cluster && $$linter run --config ../../.golangci.yml ./...

.PHONY: generate
generate: ## regenerate CRDs, deep copies and other committed results
	go tool -modfile=go.tool.mod controller-gen object paths=./api/...
	go tool -modfile=go.tool.mod controller-gen crd paths=./api/... output:crd:dir=config/crd
	go run ./internal/istiocrd/gen

.PHONY: generate-check
generate-check: generate ## fail when a generated file is stale
	@git diff --exit-code -- api config internal/istiocrd || { echo "generated files are stale: run make generate and commit"; exit 1; }
