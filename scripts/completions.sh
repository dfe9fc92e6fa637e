#!/bin/sh
# Writes the completion scripts of both programs into a directory, for the release archives
# and "make install".
#
#   completions.sh DIR [BIN]  BIN is the folder of the programs; without it they are built
set -eu
cd "$(dirname "$0")/.."
dir=$1
bin=${2-}

if [ -z "$bin" ]; then
    bin=$(mktemp -d)
    trap 'rm -rf "$bin"' EXIT
    go build -o "$bin/" ./cmd/tokend ./cmd/mockauth0
fi
mkdir -p "$dir"
for program in tokend mockauth0; do
    "$bin/$program" completion bash >"$dir/$program.bash"
    "$bin/$program" completion zsh >"$dir/_$program"
    "$bin/$program" completion fish >"$dir/$program.fish"
    "$bin/$program" completion powershell >"$dir/$program.ps1"
done
