#!/bin/sh
# A job of many steps, with the service beside them: each asks for a token when it
# needs one and gets a fresh one. Settings are those of pipeline.sh.
set -eu

tokend serve &
trap 'kill $!; wait $!' EXIT

tokend token demo --wait --min-validity 10m --format header |
    curl -fsS --noproxy localhost -H @- "${API:-http://localhost:8400/_mock/resource/}calls"
