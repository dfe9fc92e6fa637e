# The whole of it: make run, make test. "make help" lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run test bench peers lint fuzz mutants torture build install screenshots npm man deps clean

FUZZTIME ?= 10s
TORTURE ?= 2000
PEERS_JSON ?= bench/peers.json
PREFIX ?= /usr/local
TOOL := go tool -modfile=tools/go.mod

# Static, as releases are: a program that needs no C library starts sooner. Without
# the msgpack codec of gin, which nothing uses, it is a quarter smaller. A checkout
# that belongs to somebody else has no version that git would tell.
comma := ,
BUILD := CGO_ENABLED=0 go build -tags nomsgpack$(if $(TAGS),$(comma)$(TAGS)) $(shell git status --porcelain >/dev/null 2>&1 || echo -buildvcs=false)

help: ## list the targets
	@sed -n 's/^\([a-z]*\): .*## /\1	/p' Makefile | expand -t 8

run: build ## both programs, signed in, with the lines to copy; ONCE=1 ends by itself; STORE=postgres: two tokend on one database
	@exec scripts/run.sh

test: ## every test, with what they need installed first
	@scripts/deps.sh
	@go -C e2e/consumers test -count=1 ./...
	@go -C terraform test -count=1 $$(scripts/deps.sh --race) ./...
	@go test -count=1 -timeout 20m $$(scripts/deps.sh --race) ./...
	@go test -count=1 -tags otel -run '^TestTraces' ./cmd/tokend
	@go -C e2e/referees test -count=1 -timeout 20m ./...
	@go -C deploy test -count=1 ./...

bench: ## every benchmark, those beside peers too
	@go test -run '^$$' -bench . -benchmem ./...
	@cd bench && go test -run '^$$' -bench . -benchmem ./...
	@$(MAKE) --no-print-directory peers

peers: ## the part of bench that compares mockauth0 with other mocks: a table, and as JSON in PEERS_JSON (bench/peers.json); Linux only
	@scripts/deps.sh --npm bench/peers/npm
	@cd bench && go run ./peers -json $(abspath $(PEERS_JSON))

lint: ## vet, golangci-lint, gofumpt, actionlint, goreleaser's check, and govulncheck where its database is in reach
	@scripts/lint.sh

fuzz: ## every fuzz target for FUZZTIME (10s) each
	@grep -rho --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . >/dev/null || { echo 'no fuzz targets'; exit 0; }; \
	for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$dir/*_test.go); do \
			echo "$$dir $$target"; go -C $$dir test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . || exit 1; \
		done; \
	done

mutants: ## every refusal and documented line taken out, one at a time: a test must fail (hours)
	@MUTANTS=all go test -timeout 4h -run 'EveryRefusal|EveryBehaviour|DocumentedLines' ./e2e ./e2e/contract
	@MUTANTS=all go -C e2e/referees test -timeout 60m -run RefereesNotice .

torture: ## 2000 kills (TORTURE=N) of real processes, with a table (TORTURE_TABLE=file); TORTURE_SEED=N repeats a run; STORE=postgres: of replicas
	@TORTURE=$(TORTURE) TORTURE_STORE=$(STORE) go test -count=1 -v -timeout 2h -run '^TestTorture$$' ./e2e/torture

build: ## the programs, and links of the credential helpers' names, into bin/; TAGS=otel: with OpenTelemetry traces
	@$(BUILD) -o bin/ ./cmd/...
	@for helper in docker-credential git-credential terraform-credentials; do ln -sf tokend-credential "bin/$$helper-tokend"; done

install: build man ## what "make build" makes, the man pages and the completions of bash, zsh and fish, into PREFIX (/usr/local) under DESTDIR
	@scripts/completions.sh bin/completions bin
	@scripts/install.sh bin '$(DESTDIR)$(PREFIX)'

screenshots: ## docs/images, by the browser tests
	@scripts/screenshots.sh

npm: ## the npm packages of mockauth0, in dist/npm: of this machine; with VERSION=v1.2.3 of every platform
	@VERSION='$(VERSION)' scripts/npm.sh

man: ## the man pages of both programs, in bin/man
	@MAN_DIR=$(CURDIR)/bin/man go test -count=1 -run '^TestMan_' ./cmd/tokend ./cmd/mockauth0

deps: ## the Debian and npm packages that the tests need
	@scripts/deps.sh --install

clean: ## remove what was built and what runs have left
	@rm -rf bin .run coverage.out
