#!/bin/sh
# A job of many steps, with the service in the background: each step requests a fresh
# token when it needs one.
#
# Without a tenant of your own it starts the mock: start.sh has the settings.
set -eu
cd "$(dirname "$0")"
. ./start.sh
up tokend

header=$(tokend token demo --wait --min-validity 10m --format header)
printf %s "$header" | curl -fsS --noproxy localhost -H @- "${API:?is the base URL of the API}/calls"
