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
# Registry and folder of images, such as registry.example.com/mesh; empty: each image's own.
REGISTRY ?=
TEST_CLUSTER ?= test
BIN := .bin
OUT := .out
# The linter's cache remembers absolute paths, so it reports nonsense after another checkout of the same code was removed.
export GOLANGCI_LINT_CACHE ?= $(CURDIR)/$(BIN)/golangci-lint

# The three kinds of scenarios, by the names of their tests (e2e/scenarios/main_test.go), and how many run at a time that share a mesh.
EDITS := TestInstallation
EMPTY := TestRemoval
PARALLEL ?= 4

# $(call timed,STEP,COMMAND) runs a command and records its seconds for the table at the end.
TIMES := $(OUT)/times
timed = @.ci/timed $(TIMES) $(1) $(2)

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z.-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## boot a local cluster, install the mesh and Bookinfo, prove that it works (CLUSTER=existing REGISTRY=registry/folder: push the images first)
	@$(if $(REGISTRY),go run ./e2e/images push --registry '$(REGISTRY)' &&) go run ./e2e/demo up --name $(CLUSTER) --registry '$(REGISTRY)'

.PHONY: demo-down
demo-down: ## remove everything that make demo made
	@go run ./e2e/demo down --name $(CLUSTER)

.PHONY: urls
urls: ## print the demo's addresses, one "name url" a line
	@go run ./e2e/demo urls --name $(CLUSTER)

.PHONY: kubeconfig
kubeconfig: ## print the path of the demo's kubeconfig
	@go run ./e2e/demo kubeconfig --name $(CLUSTER)

# Compilers overlap with tests that wait for processes; suites that mostly wait run side by side.
SIDE_BY_SIDE := $(MAKE) --no-print-directory --output-sync=target

# The suites with clusters, the longest first. More at once than cores starve each other's probes and leases.
SUITES := test-scenarios test-apiserver test-installation test-removal
SUITES_AT_ONCE ?= 2

.PHONY: test
test: ## run every test on clusters of its own (RACE=1: the unit tests under the race detector)
	@rm -rf $(TIMES)
	@$(MAKE) --no-print-directory test-steps; status=$$?; .ci/times $(TIMES); exit $$status

.PHONY: test-steps
test-steps:
	@echo "test-unit, and what the clusters need (cold: a Kubernetes, ten minutes and more)"
	@$(SIDE_BY_SIDE) -j2 test-unit provisions
	@$(MAKE) --no-print-directory test-cluster
	@echo "two at a time, about twenty minutes: $(SUITES)"
	@$(SIDE_BY_SIDE) -j$(SUITES_AT_ONCE) $(SUITES)

.PHONY: provisions
provisions: cluster images

.PHONY: test-unit
test-unit: envoy prometheus ## run the tests that need no cluster (real Envoy processes included)
	$(call timed,$@,$(if $(RACE),env CGO_ENABLED=1) go test -timeout 30m $(TEST_FLAGS) $(if $(RACE),-race) $$(go list ./... | grep -v -e /e2e/scenarios -e /e2e/apiserver))
	$(call timed,$@,go -C e2e/bundle test $(TEST_FLAGS) ./...)

.PHONY: test-cluster
test-cluster: cluster ## run the local cluster's own tests (needs root)
	$(call timed,$@,go -C e2e/cluster test -count=1 $(TEST_FLAGS) ./...)

.PHONY: test-apiserver
test-apiserver: cluster ## test the operator on a real API server that fails and an operator that dies (needs no root)
	$(call timed,$@,go test -count=1 -timeout 40m $(TEST_FLAGS) $(APISERVER_FLAGS) ./e2e/apiserver)

# $(call on-cluster,NAME,FLAGS) boots a cluster, or uses one that was kept, and runs scenarios on it. It removes the cluster unless
# it is kept: with KEEP=1, or to run one scenario.
define on-cluster
$(call timed,$@-boot,env MAKEFLAGS= go run ./e2e/demo cluster --name $(1))
@status=0; MESH_CLUSTER=$(1) MESH_TIMES=$(CURDIR)/$(TIMES)/$@.scenarios .ci/timed $(TIMES) $@ \
  go test -count=1 -timeout 40m $(TEST_FLAGS) $(2) $(SCENARIO_FLAGS) ./e2e/scenarios || status=$$?; \
  if [ -z "$(KEEP)$(SCENARIO)" ]; then MAKEFLAGS= go run ./e2e/demo down --name $(1) >/dev/null 2>$(OUT)/down-$(1) || cat $(OUT)/down-$(1) >&2; fi; exit $$status
endef

.PHONY: test-scenarios
ifdef SCENARIO
scenario-cluster = $(TEST_CLUSTER)$(if $(filter $(EDITS)%,Test$(SCENARIO)),-installation)$(if $(filter $(EMPTY)%,Test$(SCENARIO)),-removal)
test-scenarios: cluster images
	$(call on-cluster,$(scenario-cluster),-v -run '^Test$(SCENARIO)')
else
test-scenarios: cluster images ## run the scenarios that share a mesh, in parallel (needs root); SCENARIO=name: one, on a kept cluster
	$(call on-cluster,$(TEST_CLUSTER),-parallel $(PARALLEL) -skip '^($(EDITS)|$(EMPTY))')
endif

.PHONY: test-installation
test-installation: cluster images ## run the scenarios that edit the Installation, one after another (needs root)
	$(call on-cluster,$(TEST_CLUSTER)-installation,-run '^$(EDITS)')

.PHONY: test-removal
test-removal: cluster images ## run the scenarios that begin on an empty cluster, one after another (needs root)
	$(call on-cluster,$(TEST_CLUSTER)-removal,-run '^$(EMPTY)')

.PHONY: scenarios-down
scenarios-down: ## remove the clusters that scenarios keep
	@for name in $(TEST_CLUSTER) $(TEST_CLUSTER)-installation $(TEST_CLUSTER)-removal; do go run ./e2e/demo down --name $$name || exit 1; done

.PHONY: check
check: ## everything CI asks for, and where the time went
	@rm -rf $(TIMES)
	@$(MAKE) --no-print-directory check-steps; status=$$?; .ci/times $(TIMES); exit $$status

.PHONY: check-steps
check-steps: modules fmt-check lint generate-check
	@# The linter has vetted all of it. Vetting looks at every dependency, and once more for the race detector.
	@$(MAKE) --no-print-directory test-steps RACE=1 TEST_FLAGS=-vet=off

# $(call retried,COMMAND): Go does not repeat a download that failed.
retried = ($(1)) || { sleep 10; ($(1)); } || { sleep 10; ($(1)); }

.PHONY: modules
modules: ## download the Go modules that the checks need
	@.ci/timed $(TIMES) $@ bash -c '$(call retried,go mod download)'
	@.ci/timed $(TIMES) $@ bash -c '$(call retried,go -C e2e/cluster mod download)'
	@.ci/timed $(TIMES) $@ bash -c '$(call retried,go -C e2e/bundle mod download)'
	@.ci/timed $(TIMES) $@ bash -c '$(call retried,go list -modfile=go.tool.mod -deps tool >/dev/null)'

.PHONY: envoy
envoy: ## fetch the Envoy that the tests and the proxyv2 image use
	@go run ./e2e/images fetch envoy

.PHONY: prometheus
prometheus: ## fetch the Prometheus that the tests and its image use
	@go run ./e2e/images fetch prometheus

.PHONY: bench
bench: ## measure what a change costs pilot, as ratios (see bench/README.md)
	go run ./bench stages
	go run ./bench inprocess

.PHONY: images
images: ## build all container images into .out/images (REGISTRY=registry/folder: push them too)
	$(call timed,$@,go run ./e2e/images $(if $(REGISTRY),push --registry '$(REGISTRY)',build) --out $(OUT)/images)

# The kustomization that install.yaml is made from; on OpenShift config/openshift.
CONFIG ?= config/default

.PHONY: install.yaml
install.yaml: ## write the operator as one file for kubectl into .out (CONFIG=config/openshift, REGISTRY=registry/folder)
	@mkdir -p $(OUT)
	@go run ./controllers/installation/packaging/gen install --from $(CONFIG) --registry '$(REGISTRY)' > $(OUT)/install.yaml
	@echo $(OUT)/install.yaml

.PHONY: catalog
catalog: ## write a file-based catalog for OLM into .out/catalog (REGISTRY=registry/folder)
	@go run ./controllers/installation/packaging/gen catalog --registry '$(REGISTRY)' --out $(OUT)/catalog
	@echo $(OUT)/catalog

.PHONY: cluster
cluster: $(BIN)/cluster ## build the local cluster's command and its Kubernetes
	$(call timed,$@,$(BIN)/cluster fetch)

$(BIN)/cluster: $(wildcard e2e/cluster/*.go e2e/cluster/*/*.go e2e/cluster/*/*/*.go) e2e/cluster/go.mod
	cd e2e/cluster && go build -o ../../$@ ./cmd/cluster

.PHONY: build
build: ## build the binaries into .bin
	go build -o $(BIN)/ ./cmd/...
	@ln -sf meshctl $(BIN)/kubectl-mesh

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
	$(call timed,$@,go tool -modfile=go.tool.mod golangci-lint run ./...)
	@linter=$$(go tool -modfile=go.tool.mod -n golangci-lint) && times=$(CURDIR)/$(TIMES) && timed=$(CURDIR)/.ci/timed && \
	  cd e2e/cluster && $$timed $$times $@ $$linter run --config ../../.golangci.yml ./...

.PHONY: generate
generate: ## regenerate CRDs, deep copies and other committed results
	$(call timed,$@,go tool -modfile=go.tool.mod controller-gen object paths=./api/...)
	$(call timed,$@,go tool -modfile=go.tool.mod controller-gen crd paths=./api/... output:crd:dir=config/crd)
	$(call timed,$@,go run ./internal/istiocrd/gen)
	$(call timed,$@,go run ./controllers/installation/rbac/gen)
	$(call timed,$@,go run ./internal/dashboards/gen)
	$(call timed,$@,go run ./controllers/installation/packaging/gen generate)

.PHONY: generate-check
generate-check: generate ## fail when a generated file is stale
	@git diff --exit-code -- api bundle charts config internal/istiocrd || { echo "generated files are stale: run make generate and commit"; exit 1; }
