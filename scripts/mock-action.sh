#!/usr/bin/env bash
# The start of mock/action.yml: the tenant runs in the background until the runner ends
# the processes of the job. A tenant that does not start fails the step with its log.
set -euo pipefail

fail() {
    echo "::error title=mockauth0::$1"
    exit 78
}

for input in PORT LOGIN TENANT LAX; do
    case ${!input} in
    *$'\n'* | *$'\r'*) fail "input $input contains a line break" ;; # it would set other outputs, too
    esac
done
[[ $PORT =~ ^[0-9]{1,5}$ ]] || fail "port is not a number"
if [ "$LAX" != true ] && [ "$LAX" != false ]; then fail "lax is neither true nor false"; fi

arguments=(serve)
[ -z "$TENANT" ] || arguments+=(--tenant "$TENANT")
[ "$LAX" = false ] || arguments+=(--lax)

log=$RUNNER_TEMP/mockauth0/mockauth0-$PORT.log
true >"$log" # it is read before the tenant may have opened it
export MOCKAUTH0_LISTEN=127.0.0.1:$PORT MOCKAUTH0_LOGIN=$LOGIN
nohup mockauth0 "${arguments[@]}" </dev/null >>"$log" 2>&1 &
pid=$!

# Its health check alone could be answered by another process on that port.
issuer=
while [ -z "$issuer" ]; do
    if ! kill -0 "$pid" 2>/dev/null; then
        cat "$log"
        fail "mockauth0 did not start; its log is above"
    fi
    issuer=$(sed -n 's/^mockauth0: issuer \([^ ]*\), .*/\1/p' "$log" | head -n 1)
    [ -n "$issuer" ] || sleep 0.05
done
until mockauth0 healthcheck >/dev/null 2>&1; do sleep 0.05; done
cat "$log"
{
    echo "issuer=$issuer"
    echo "log=$log"
    echo "pid=$pid"
} >>"$GITHUB_OUTPUT"
