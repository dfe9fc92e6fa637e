#!/bin/sh
# Starts mockauth0 and tokend as real processes, waits until client "demo" has
# logged in, and shows the claims of its access token. Ctrl-C ends them; with
# ONCE=1 it ends by itself. State is in a new directory under .run, so the user's own
# tokend is not touched.
#
# With STORE=postgres two tokend share the database of a PostgreSQL server of their own.
#
# The listeners (MOCKAUTH0_*, TOKEND_LISTEN) and the client's settings
# (TOKEND_CLIENT_DEMO_*) may be set from outside.
set -eu
cd "$(dirname "$0")/.."

mkdir -p .run
dir=$(mktemp -d .run/demo.XXXXXX)
mock='' tokend='' second='' cluster=''

finish() {
    for pid in $tokend $second $mock; do kill "$pid" 2>/dev/null || :; done
    wait
    [ -z "$cluster" ] || postgres pg_ctl stop -s -m immediate -D "$cluster/data" || :
    rm -rf "$cluster"
    rm -rf "$dir"
    rmdir .run 2>/dev/null || : # another run may be using it
}
trap finish EXIT
trap 'exit 0' INT TERM HUP

# report prints the last output of a program, each error on one line.
report() {
    grep -v -e '^time=' -e '^mockauth0: issuer ' -e '^mockauth0: a mock ' "$1" |
        sed -n -e 'H;${x;s/^\n//;s/\nhint: /; hint: /g;s/:\n  /: /g;s/\n  /; /g;p;}' >&2
}

# await NAME PID LOG TEST...: waits until TEST holds, ends when the process does.
await() {
    name=$1 pid=$2 log=$3 tries=0
    shift 3
    until "$@" >/dev/null 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null; then
            code=0
            wait "$pid" || code=$?
            report "$log"
            exit "$code"
        fi
        tries=$((tries + 1))
        if [ "$tries" -gt 150 ]; then
            echo "error: $name took longer than 15 s; hint: see the output below" >&2
            report "$log"
            exit 69
        fi
        sleep 0.1
    done
}

# claims prints the payload of a JWT, one claim a line.
claims() {
    payload=$(printf %s "$1" | cut -d. -f2 | tr '_-' '/+')
    if [ -z "$payload" ]; then # the second part of an encrypted token is empty
        echo "(it is opaque: without the audience of an API a tenant issues opaque tokens)"
        return
    fi
    case $((${#payload} % 4)) in
    2) payload="$payload==" ;;
    3) payload="$payload=" ;;
    esac
    printf %s "$payload" | base64 --decode | sed -e 's/^{/{\
  /' -e 's/,\("[a-z_]*":\)/,\
  \1/g' -e 's/}$/\
}/'
    echo
}

# postgres PROGRAM ARGUMENT...: runs a program of the PostgreSQL server, as a user who
# may run it.
postgres() {
    program=$pg_bin/$1
    shift
    if [ "$(id -u)" -ne 0 ]; then
        "$program" "$@"
    else
        (cd "$cluster" && setpriv --reuid="$pg_user" --regid="$(id -g "$pg_user")" --clear-groups "$program" "$@")
    fi
}

# start_postgres starts a server on a unix socket and prints the URL of its database.
start_postgres() {
    pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
    if [ -z "$pg_bin" ]; then
        pg_bin=$(dirname "$(command -v initdb)") || {
            echo 'error: PostgreSQL is missing; hint: make deps, or install postgresql' >&2
            exit 69
        }
    fi
    pg_user=postgres
    id "$pg_user" >/dev/null 2>&1 || pg_user=nobody
    cluster=$(mktemp -d /tmp/tokend-pg.XXXXXX) # the path of a socket must be short
    [ "$(id -u)" -ne 0 ] || chown "$pg_user" "$cluster"
    postgres initdb -D "$cluster/data" -U tokend -A trust -E UTF8 --no-locale --no-sync >"$dir/postgres.log" &&
        postgres pg_ctl start -s -w -D "$cluster/data" -l "$cluster/log" -o "-k $cluster -c listen_addresses=" || {
        cat "$dir/postgres.log" "$cluster/log" >&2
        exit 69
    }
    store="postgres://tokend@/postgres?host=$cluster"
}

store="sqlite:$dir/tokend.db"
case ${STORE-sqlite} in
sqlite) ;;
postgres) start_postgres ;;
*)
    echo "error: STORE=$STORE is not known; hint: sqlite or postgres" >&2
    exit 64
    ;;
esac

# A tenant.
MOCKAUTH0_LOG_LEVEL=debug MOCKAUTH0_LOG_FORMAT=text bin/mockauth0 serve 2>"$dir/mockauth0.log" &
mock=$!
await mockauth0 "$mock" "$dir/mockauth0.log" grep -q '^mockauth0: issuer ' "$dir/mockauth0.log"
issuer=$(sed -n 's/^mockauth0: issuer \(.*\), login .*/\1/p' "$dir/mockauth0.log")

# A service with one client of that tenant. An empty variable stays empty:
# tokend reports what is missing.
unset TOKEND_ADDR TOKEND_API_KEY TOKEND_CONFIG TOKEND_STORE_KEY TOKEND_STORE_KEY_FILE TOKEND_STORE_PASSWORD CREDENTIALS_DIRECTORY
export XDG_CONFIG_HOME="$PWD/$dir"
export TOKEND_SOCKET=off TOKEND_STORE="$store" TOKEND_API_KEY_FILE="$dir/api.key"
export TOKEND_API_KEYS_FILE="$PWD/$dir/api-keys.json"
export TOKEND_AUDIT_FILE="$PWD/$dir/audit.log"
export TOKEND_STORE_KEY_FILE="$PWD/$dir/keyset.json" XDG_STATE_HOME="$PWD/$dir"
export TOKEND_LOG_LEVEL=info TOKEND_LOG_FORMAT=text TOKEND_CLIENTS=demo
export TOKEND_CLIENT_DEMO_ISSUER="${TOKEND_CLIENT_DEMO_ISSUER-$issuer}"
export TOKEND_CLIENT_DEMO_CLIENT_ID="${TOKEND_CLIENT_DEMO_CLIENT_ID-demo}"
if [ -z "${TOKEND_CLIENT_DEMO_CLIENT_SECRET_FILE-}" ]; then
    export TOKEND_CLIENT_DEMO_CLIENT_SECRET="${TOKEND_CLIENT_DEMO_CLIENT_SECRET-demo-secret}"
fi
export TOKEND_CLIENT_DEMO_REDIRECT_URI="${TOKEND_CLIENT_DEMO_REDIRECT_URI-http://localhost:8484/callback}"
export TOKEND_CLIENT_DEMO_SCOPES="${TOKEND_CLIENT_DEMO_SCOPES-openid,profile,offline_access,read:calls}"
export TOKEND_CLIENT_DEMO_AUDIENCE="${TOKEND_CLIENT_DEMO_AUDIENCE-https://api.example.com/}"
export TOKEND_CLIENT_DEMO_LOGIN="${TOKEND_CLIENT_DEMO_LOGIN-headless}"
bin/tokend serve 2>"$dir/tokend.log" &
tokend=$!
await tokend "$tokend" "$dir/tokend.log" grep -q 'msg=listening network=tcp' "$dir/tokend.log"
address=$(sed -n 's/.*msg=listening network=tcp addr=\([^ ]*\).*/\1/p' "$dir/tokend.log" | head -n 1)
service="http://localhost:${address##*:}"

# The login is over when the service has a token, or says why it has none.
settled() {
    code=0
    TOKEND_ADDR="http://$address" bin/tokend token demo >"$dir/token" 2>"$dir/refusal" || code=$?
    [ "$code" -ne 75 ] && ! grep -q starting "$dir/refusal"
}
await 'the sign-in' "$tokend" "$dir/refusal" settled
if [ "$code" -ne 0 ]; then
    report "$dir/refusal"
    exit "$code"
fi

if [ -n "$cluster" ]; then # a replica: it gets the token from the database
    mkdir "$dir/second"
    TOKEND_LISTEN=127.0.0.1:0 XDG_STATE_HOME="$PWD/$dir/second" TOKEND_AUDIT_FILE="$PWD/$dir/second/audit.log" \
        bin/tokend serve 2>"$dir/second.log" &
    second=$!
    await 'the second tokend' "$second" "$dir/second.log" grep -q 'msg=listening network=tcp' "$dir/second.log"
    address2=$(sed -n 's/.*msg=listening network=tcp addr=\([^ ]*\).*/\1/p' "$dir/second.log" | head -n 1)
    TOKEND_ADDR="http://$address2" bin/tokend token demo >"$dir/token2"
fi

echo "mockauth0, a mock tenant:  $issuer"
echo "tokend, keeping its token: $service"
if [ -n "$second" ]; then
    echo "a second tokend:           http://localhost:${address2##*:}, on the same database"
    cmp -s "$dir/token" "$dir/token2" && echo "  it serves the same token, without a login or refresh of its own"
    echo "their database:            psql 'host=$cluster user=tokend dbname=postgres'"
fi
echo
echo "How client demo logged in:"
sed -n 's/.*msg=request method=\([A-Z]*\) path=\([^ ]*\) status=\([0-9]*\).*/  \1 \2 → \3/p' "$dir/mockauth0.log"
echo
echo "What its access token claims:"
claims "$(cat "$dir/token")"
if [ -n "${ONCE-}" ]; then # both end now, and the key with them: nothing to copy
    exit 0
fi
cat <<LINES

For another terminal, in this directory:
  export TOKEND_ADDR=http://$address TOKEND_API_KEY_FILE=$PWD/$dir/api.key PATH="$PWD/bin:\$PATH"
  export TOKEND_API_KEYS_FILE=$TOKEND_API_KEYS_FILE TOKEND_AUDIT_FILE=$TOKEND_AUDIT_FILE
  tokend status
and a fresh token for a protected API:
  tokend token demo --format header | curl -sS --noproxy '*' -H @- ${issuer}_mock/resource/calls

Ctrl-C ends them.
LINES
while kill -0 "$mock" 2>/dev/null && kill -0 "$tokend" 2>/dev/null && { [ -z "$second" ] || kill -0 "$second" 2>/dev/null; }; do
    sleep 1
done
echo "error: one of the programs has ended; hint: the last line of each is:" >&2
for log in "$dir/mockauth0.log" "$dir/tokend.log" "$dir/second.log"; do
    [ ! -f "$log" ] || tail -n 1 "$log" >&2
done
exit 69
