#!/bin/sh
# Every check of the sources; all of them run, whatever the others find.
# With --count it only prints the words of scripts/words.txt per 1,000 lines.
set -u
cd "$(dirname "$0")/.."

if [ "${1-}" = --count ]; then
    exec go run ./scripts/words -count
fi

failed=0
check() {
    echo "$*" >&2
    "$@" || failed=1
}
tool() { go tool -modfile=tools/go.mod "$@"; }
tool_in() { (modfile=$PWD/tools/go.mod && cd "$1" && shift && go tool -modfile="$modfile" "$@"); }

formatted() {
    unformatted=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 go tool -modfile=tools/go.mod gofumpt -l) || return 1
    [ -z "$unformatted" ] || { printf '%s: not formatted by gofumpt\n' $unformatted; return 1; }
}

# Exit code 3 is a finding; anything else went wrong on the way to the database.
vulnerabilities() {
    code=0
    tool_in "$1" govulncheck ./... || code=$?
    if [ "$code" -eq 0 ] || [ "$code" -eq 3 ] || [ "${CI-}" = true ]; then
        return "$code"
    fi
    echo 'govulncheck is skipped: its database is not reachable' >&2
}

check go vet ./...
check go vet -tags otel ./...
check go -C bench vet ./...
check go -C deploy vet ./...
check go -C e2e/consumers vet ./...
check go -C terraform vet ./...
check go -C e2e/referees vet ./...
check go -C e2e/referees/goauth0 vet -tags dependencies ./... # its only file pins modules
check tool golangci-lint run
check tool golangci-lint run --build-tags otel ./internal/trace ./cmd/tokend
check tool_in bench golangci-lint run
check tool_in deploy golangci-lint run
check tool_in terraform golangci-lint run
check tool_in e2e/referees golangci-lint run
check formatted
check go run ./scripts/words
check tool actionlint
check tool actionlint examples/github-actions/*.yml
check go tool -modfile=tools/goreleaser/go.mod goreleaser check .goreleaser.yaml terraform/.goreleaser.yaml
check vulnerabilities .
check vulnerabilities terraform
exit "$failed"
