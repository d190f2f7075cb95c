# The commands of this project. Each installs what it misses where it can; scripts/ does the work.

.DEFAULT_GOAL := help
.PHONY: help demo test soak shell build setup check torture sim sabotage
.PHONY: loom mutants sanitize bench bench-local bench-parts bench-size clean
.PHONY: docs matrix package precompiled
NAME ?= ram1
SEEDS ?= 200
SECONDS ?= 60
ROUNDS ?= 3
PARTS ?= all
MINUTES ?= 5

help:    ## Lists these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

demo:    ## Three nodes on this machine: writes, a killed leader, a fourth node
	@scripts/setup.sh demo
	@scripts/build.sh
	@scripts/demo.sh

test:    ## All tests, in minutes: Rust, Common Test with PropEr, a short torture, a few seeds
	@scripts/setup.sh test
	@scripts/test.sh $(SUITES)

soak: ROUNDS =
soak:    ## Their long form, and the promised figures: make soak PARTS=failover,torture MINUTES=5
	@scripts/setup.sh test
	@scripts/build.sh
	@MINUTES="$(MINUTES)" SEED="$(SEED)" SEEDS="$(SEEDS)" ROUNDS="$(ROUNDS)" scripts/soak.sh "$(PARTS)"

shell:   ## An Erlang shell on the node NAME@127.0.0.1 (make shell NAME=ram2)
	@scripts/setup.sh demo
	@scripts/build.sh
	@scripts/shell.sh $(NAME)

build:   ## The Erlang application and its library, under _build
	@scripts/setup.sh demo
	@scripts/build.sh

setup:   ## Installs the tools that are missing, or says which
	@scripts/setup.sh check

check:   ## Formatting, clippy, compiler warnings, xref, dialyzer
	@scripts/setup.sh check
	@scripts/check.sh

matrix: OTPS = 25 27 29
matrix: WHAT = demo,test,check,versions
matrix:  ## On every OTP in use, each in a Debian of its own: make matrix OTPS="27 29" WHAT=demo,vm
	@scripts/matrix.sh "$(OTPS)" "$(WHAT)"

torture: ## Faults, clients, a check: make torture SECONDS=60 SEED=7 NODES=3 NET=links FAULTS=kill
	@scripts/setup.sh test
	@scripts/build.sh
	@scripts/torture.sh "$(SECONDS)" "$(SEED)" "$(NODES)" "$(NET)" "$(FAULTS)" "$(SABOTAGE)"

sim:     ## Simulates clusters in virtual time (make sim SEEDS=200, or SEED=7 for one)
	@$(if $(SEED),,cargo test --locked --profile sim -p ram_sim --test seeds -- --include-ignored)
	@cargo run --quiet --locked --profile sim -p ram_sim -- --seconds $(SECONDS) \
	    $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

sabotage:  ## Sabotages the core in every known way, and shows what catches it
	@cargo test --locked --profile sim -p ram_sim --features sabotage --test sabotage -- --nocapture

package: ## The package as Hex has it, in _build/package: without tests and what they alone need
	@scripts/setup.sh test
	@scripts/package.sh

loom:    ## Concurrent code in every order of its threads (loom), and changes of it that this catches
	@scripts/setup.sh test
	@scripts/loom.sh mutants

mutants: ## Small changes of the code that no test catches (cargo-mutants): make mutants CRATE=ram_lease
	@scripts/mutants.sh $(CRATE)

sanitize: ## AddressSanitizer over the crates below Raft, and over the library in a VM
	@scripts/setup.sh test
	@scripts/sanitize.sh

bench: SECONDS = 2
bench:   ## Beside mnesia and ets: make bench ROUNDS=3 SECONDS=2 OUT=docs/performance.md
	@scripts/setup.sh bench
	@scripts/build.sh
	@scripts/bench.sh "$(ROUNDS)" "$(SECONDS)" "$(OUT)"

bench-local: build  ## A read by lease beside ets (make bench-local ROUNDS=3)
	@scripts/bench-local.sh "$(ROUNDS)" 1

bench-parts: ROUNDS = 40
bench-parts: build  ## What each part of the fast path brings (make bench-parts PARTS="small_ints entries")
	@scripts/bench-parts.sh "$(ROUNDS)" $(filter-out all,$(PARTS))

bench-size: build  ## Rates, pauses, restart, join and memory at a size (ENTRIES=1000000)
	@scripts/bench-size.sh $(ENTRIES)

docs:    ## The documentation as a site, _build/docs/site, with every link checked
	@scripts/setup.sh test
	@scripts/docs.sh

precompiled: ## The library for each of TARGETS, packed, and the map of the files: URL=https://...
	@TARGETS="$(TARGETS)" URL="$(URL)" scripts/precompiled.sh

clean:   ## Removes what was built; ram_data stays
	rm -rf _build target priv/ram_nif.so priv/.ram_nif* priv/..ram_nif* native/precompiled.eterm
