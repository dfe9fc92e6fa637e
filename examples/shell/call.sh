#!/bin/sh
# What a pipeline does with a token: it calls an API. The token is in the variable
# that "tokend exec demo" sets, and on no command line.
set -eu
printf 'Authorization: Bearer %s\n' "$DEMO_ACCESS_TOKEN" |
    curl -fsS --noproxy localhost -H @- "${API:-http://localhost:8400/_mock/resource}/calls"
