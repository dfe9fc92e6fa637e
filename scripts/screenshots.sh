#!/bin/sh
# Writes the pictures of the README, as the browser tests see the pages.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

SCREENSHOTS=$dir SCREENSHOTS_PLAIN_PATHS=1 CONSOLE_SCREENSHOTS=$dir CI=true go -C e2e/referees test -count=1 -run '^(TestDashboard_LogsIn|TestConsoleScreenshots)$' .
mkdir -p docs/images
install -m 644 "$dir/clients-light.png" docs/images/dashboard.png
install -m 644 "$dir/console-light.png" docs/images/console.png
