# Every target with "##" behind it is listed by plain `make`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Which end-to-end tests test-kernel-e2e runs, as a pattern of go test, and how many minutes a machine's tests may take.
KERNEL_TESTS ?= .
KERNEL_MINUTES ?= 120
# Nothing in there is late because this machine is busy.
KERNEL_CLOCK := -icount -idle-passes
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
TOOL := go tool -modfile=tools/go.mod

export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/ovsnet and bin/ovsnet-lab
	go build $(GOFLAGS_BUILD) -o bin/ ./cmd/ovsnet ./cmd/ovsnet-lab

deps: ## install the Debian packages that demo, test and bench need
	@scripts/deps

demo: deps build ## two hosts, one network, containers that talk across; then all gone
	demo/run

test: deps build ## everything: unit, golden, property, fuzz seeds, and end to end in the lab
	@scripts/deps-browser
	go test -count=1 -timeout 50m -p 1 ./...

# The programs under test are as they would be outside; only the tests' time-outs know that the processor is emulated.
# Each part is a machine of its own with one processor: -j2 runs two at once, the longest first.
test-kernel: test-kernel-e2e-g-to-z test-kernel-e2e-a-to-f test-kernel-install ## the end-to-end tests on the kernel's datapath and an installation, in emulated virtual machines

test-kernel-ci: test-kernel-install test-kernel-e2e-ci ## of test-kernel the installation, and the tests that depend most on the datapath

KERNEL_PARTS := $(addprefix test-kernel-e2e-,a-to-f g-to-z ci some)
KERNEL_TESTS_a-to-f := ^Test[A-F]
KERNEL_TESTS_g-to-z := ^Test[^A-F]
# What the flows do to real packets and what crosses the underlay (Isolation), the kernel's own network stack beside it
# (Guard), and what is made anew where the kernel keeps what OVS lost (OpenVSwitchReturns).
KERNEL_TESTS_ci := ^Test(Isolation|Guard|OpenVSwitchReturns)$$

test-kernel-vm: deps build
	scripts/deps-kernel
	go test -tags emulated -count=1 -timeout 30m ./tests/kernel/...
	go build $(GOFLAGS_BUILD) -o bin/ovsnet-vm ./tests/kernel
	go test -tags emulated -c -o bin/e2e.test ./tests/e2e
	tests/e2e/newer bin/newer

test-kernel-install: test-kernel-vm vagrant
	bin/ovsnet-vm $(KERNEL_CLOCK) -timeout 40m -tmpfs /var/lib/ovsnet-install -- tests/kernel/install-hosts

test-kernel-e2e: test-kernel-e2e-some ## those of the end-to-end tests that KERNEL_TESTS names, on the kernel's datapath

$(KERNEL_PARTS): test-kernel-e2e-%: test-kernel-vm
	cd tests/e2e && ../../bin/ovsnet-vm $(KERNEL_CLOCK) -timeout $$(($(KERNEL_MINUTES) + 3))m -memory 6144 -tmpfs /var/lib/ovsnet-lab -env CI=true -env OVSNET_NEWER=$(CURDIR)/bin/newer -- \
		sh -ec 'modprobe openvswitch; modprobe vport-vxlan; exec ../../bin/e2e.test -test.v -test.timeout $(KERNEL_MINUTES)m -test.run "$(or $(KERNEL_TESTS_$*),$(KERNEL_TESTS))"'

test-fast: ## the tests that need neither root nor Open vSwitch nor Docker
	go test -short ./...

lint: ## formatting, vet and the pinned linters of tools/go.mod
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) errcheck -exclude tools/errcheck.txt ./...

pages: deps build ## what labs print into docs/pipeline.md and docs/faults.md, written anew
	go test -count=1 -run '^(TestInspect|TestTrace)$$' ./tests/e2e -update

bench: deps build ## the benchmarks, with real Open vSwitch and Docker
	go test -run '^$$' -bench . -benchmem -timeout 60m -p 1 ./...
	go build -o bin/bench-control ./tests/bench/control
	bin/bench-control -bin bin -rounds 7 -parallel 0 -creates 0 -o bin/control.json

bench-control: deps build ## what Docker's users wait for, beside Docker's bridge and swarm overlay
	go build $(GOFLAGS_BUILD) -o bin/bench-control ./tests/bench/control
	bin/bench-control -bin bin -o docs/data/control.json

bench-datapath: deps build ## what carrying packets costs, beside Docker's overlay and others, in emulated virtual machines
	scripts/deps-kernel
	go build $(GOFLAGS_BUILD) -o bin/bench-datapath ./tests/bench/datapath
	bin/bench-datapath -machine icount -duration 1s -rounds 5 -timeout 2h -o docs/data/datapath-icount.json
	bin/bench-datapath -machine icount -duration 1s -rounds 2 -mtu 9000 -contenders raw,bridge,swarm,ovsnet,hand -only tcp1,tcp4,udp1400,rr -o docs/data/datapath-jumbo.json
	bin/bench-datapath -machine vm -contenders raw,bridge,swarm,ovsnet,hand -o docs/data/datapath.json
	bin/bench-datapath -machine icount -contenders raw,swarm,ovsnet -rounds 1 -duration 1s -profile -timeout 2h -o docs/data/datapath-profile.json
	bin/bench-datapath -machine here -datapath netdev -contenders raw,hand-bare,ovsnet,hand -duration 1s -rounds 7 -o docs/data/datapath-netdev.json

check-datapath: deps build ## hold ovsnet beside flows by hand and Docker's overlay, in counted instructions
	scripts/deps-kernel
	go build $(GOFLAGS_BUILD) -o bin/bench-datapath ./tests/bench/datapath
	bin/bench-datapath -machine icount -check -contenders swarm,ovsnet,hand -only tcp1,udp64,rr,connect -rounds 5 -duration 1s

bench-scale: deps build ## how cost grows: one real agent beside a simulated fleet of up to 1,000 hosts
	go build $(GOFLAGS_BUILD) -o bin/bench-scale ./tests/bench/scale
	bin/bench-scale -bin bin -o docs/data/scale.json -agents 10,100,1000

plots: ## docs/plots and the tables of docs/performance.md, from docs/data
	go run ./tests/bench/plots -docs docs

pictures: deps build ## the screenshots in docs/pictures, from a lab
	@scripts/deps-browser
	OVSNET_PICTURES=$(CURDIR)/docs/pictures go test -count=1 -timeout 10m -run '^TestTopology$$/^in_a_browser$$' ./tests/e2e

vagrant: build ## what the virtual machines of vagrant/ are given; then: cd vagrant && vagrant up
	ARCHS=$$(dpkg --print-architecture) VERSION=$(VERSION) scripts/release
	vagrant/prepare

vagrant-validate: vagrant ## check the Vagrantfile with Vagrant itself
	scripts/deps-vagrant
	cd vagrant && VAGRANT_CHECKPOINT_DISABLE=1 vagrant validate --ignore-provider

release: ## static binaries, tarballs, .deb packages and checksums in dist/
	VERSION=$(VERSION) scripts/release

clean: ## remove what the other targets built
	rm -rf bin dist

.PHONY: help build deps demo test test-kernel test-kernel-vm test-kernel-install test-kernel-e2e $(KERNEL_PARTS) test-kernel-ci test-fast lint pages pictures bench bench-control bench-datapath check-datapath bench-scale plots vagrant vagrant-validate release clean
