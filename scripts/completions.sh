#!/bin/sh
# Writes tokend's completion scripts into a directory, for the release archives.
set -eu
cd "$(dirname "$0")/.."
dir=$1

mkdir -p "$dir"
for shell in bash zsh fish; do
    go run ./cmd/tokend completion "$shell" >"$dir/tokend.$shell"
done
