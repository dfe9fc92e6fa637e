#!/bin/sh
# A step of any pipeline, in one line: the last one. No service has to run; the
# grant is kept in a store for the time of the command.
#
# Without a tenant of your own it starts the mock. With one, set
# TOKEND_CLIENT_DEMO_ISSUER, …_CLIENT_ID, …_CLIENT_SECRET, …_AUDIENCE and API, as
# the pipeline's variables and secrets.
set -eu
cd "$(dirname "$0")"

if [ -z "${TOKEND_CLIENT_DEMO_ISSUER-}" ]; then
    mockauth0 serve &
    trap 'kill $!' EXIT
    until mockauth0 healthcheck >/dev/null 2>&1; do sleep 0.1; done
    export TOKEND_CLIENT_DEMO_ISSUER=http://localhost:8400/
    export TOKEND_CLIENT_DEMO_CLIENT_ID=demo
    export TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret
    export TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/
    export TOKEND_CLIENT_DEMO_SCOPES=openid,offline_access
    export TOKEND_CLIENT_DEMO_LOGIN=headless
fi
export TOKEND_CLIENTS=demo

tokend exec demo --min-validity 10m -- ./call.sh
