# Read by scripts, ". examples/shell/start.sh": starts the mock if no tenant is
# set. It ends with the shell.
#
# A tenant of your own is TOKEND_CLIENT_DEMO_ISSUER, …_CLIENT_ID, …_CLIENT_SECRET,
# …_AUDIENCE and API, as the pipeline's variables and secrets.

fail() {
    echo "error: $1" >&2
    exit 69
}

need() {
    command -v "$1" >/dev/null || fail "$1 is not on PATH; hint: \"make build\", then \"export PATH=\$PWD/bin:\$PATH\", in tokend's clone"
}

# up PROGRAM starts it and waits until it answers, for 15 s at most.
up() {
    need "$1"
    ! "$1" healthcheck >/dev/null 2>&1 || fail "something answers already where $1 would; hint: end it${2-}"
    "$1" serve &
    started="$! ${started-}"
    tries=0
    until "$1" healthcheck >/dev/null 2>&1; do
        kill -0 "$!" 2>/dev/null || fail "$1 has ended, its error is above"
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || fail "$1 does not answer after 15 s"
        sleep 0.1
    done
    kill -0 "$!" 2>/dev/null || fail "$1 has ended, its error is above"
}

down() {
    for pid in ${started-}; do kill "$pid" 2>/dev/null || :; done
    wait
}
trap down EXIT

need curl
need tokend
if [ -z "${TOKEND_CLIENT_DEMO_ISSUER-}" ]; then
    up mockauth0 ", or set MOCKAUTH0_LISTEN=127.0.0.1:8401"
    port=${MOCKAUTH0_LISTEN:-127.0.0.1:8400}
    port=${port##*:}
    export API="http://localhost:$port/_mock/resource"
    export TOKEND_CLIENT_DEMO_ISSUER="http://localhost:$port/"
    export TOKEND_CLIENT_DEMO_CLIENT_ID=demo
    export TOKEND_CLIENT_DEMO_CLIENT_SECRET=demo-secret
    export TOKEND_CLIENT_DEMO_AUDIENCE=https://api.example.com/
    export TOKEND_CLIENT_DEMO_SCOPES=openid,offline_access
    export TOKEND_CLIENT_DEMO_LOGIN=headless
    export TOKEND_CLIENT_DEMO_REDIRECT_URI=http://localhost:8484/callback # one that the mock has
fi
export TOKEND_CLIENTS=demo
