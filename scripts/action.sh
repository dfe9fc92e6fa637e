#!/usr/bin/env bash
# The login of action.yml: settings go to the job's later steps by GITHUB_ENV,
# secrets go into files that only this user can read, and a first token is fetched and
# masked. No process stays: a composite action has no step that could end it, so later
# steps use "tokend exec", which keeps the grant in the store of this job.
set -euo pipefail
umask 077

fail() {
    echo "::error title=tokend::$1"
    exit 78
}

for input in CLIENT ISSUER CLIENT_ID SUBJECT_TOKEN_TYPE ID_TOKEN_AUDIENCE AUDIENCE SCOPES; do
    case ${!input} in
    *$'\n'* | *$'\r'*) fail "input $input contains a line break" ;; # it would set other variables, too
    esac
done
[[ $CLIENT =~ ^[a-z0-9][a-z0-9_-]{0,62}$ ]] || fail "client is not a name of a-z, 0-9, - and _"
if [ "$FEDERATE" != true ] && [ "$FEDERATE" != false ]; then fail "federate is neither true nor false"; fi
if [ "$FEDERATE" = true ] && [ -n "$REFRESH_TOKEN" ]; then fail "federate and refresh-token exclude each other"; fi
if [ "$FEDERATE" = true ] && [ -z "$SUBJECT_TOKEN_TYPE" ]; then
    fail "federate needs subject-token-type; hint: set it to that of the tenant's Custom Token Exchange Profile"
fi
if [ "$FEDERATE" = true ] && [ -z "${ACTIONS_ID_TOKEN_REQUEST_URL-}" ]; then
    fail "the job has no ID token to exchange; hint: permissions: id-token: write"
fi

dir=$RUNNER_TEMP/tokend # the runner empties it before and after the job
mkdir -p "$dir/secrets"
prefix=TOKEND_CLIENT_$(printf %s "$CLIENT" | tr a-z- A-Z_)

# set NAME VALUE: for this script and for the job's later steps.
set_variable() {
    export "$1=$2"
    echo "$1=$2" >>"$GITHUB_ENV"
}

# mask TEXT: from here on the runner hides each line of it in the log. Every line needs a
# command of its own, or it would be printed; % begins an escape of the runner's.
mask() {
    printf '%s\n' "$1" | while IFS= read -r line; do
        line=${line%$'\r'}
        [ -z "$line" ] || printf '::add-mask::%s\n' "${line//%/%25}"
    done
}

# keep NAME VALUE: writes a secret to the file of the setting NAME.
keep() {
    [ -n "$2" ] || return 0
    mask "$2" # the runner knows it already when it came from a secret
    printf %s "$2" >"$dir/secrets/$1"
    set_variable "$1_FILE" "$dir/secrets/$1"
}

# setting NAME VALUE: an optional setting.
setting() { [ -z "$2" ] || set_variable "$1" "$2"; }

set_variable TOKEND_CLIENTS "${TOKEND_CLIENTS:+$TOKEND_CLIENTS,}$CLIENT"
set_variable TOKEND_STORE "sqlite:$dir/tokend.db"
set_variable "${prefix}_ISSUER" "$ISSUER"
set_variable "${prefix}_CLIENT_ID" "$CLIENT_ID"
setting "${prefix}_AUDIENCE" "$AUDIENCE"
setting "${prefix}_SCOPES" "$SCOPES"
keep "${prefix}_CLIENT_SECRET" "$CLIENT_SECRET"
if [ "$FEDERATE" = true ]; then
    set_variable "${prefix}_GRANT" token_exchange
    set_variable "${prefix}_SUBJECT_TOKEN_SOURCE" github-actions
    set_variable "${prefix}_SUBJECT_TOKEN_TYPE" "$SUBJECT_TOKEN_TYPE"
    setting "${prefix}_SUBJECT_TOKEN_AUDIENCE" "$ID_TOKEN_AUDIENCE"
elif [ -n "$REFRESH_TOKEN" ]; then
    set_variable "${prefix}_GRANT" refresh_token
    keep "${prefix}_REFRESH_TOKEN" "$REFRESH_TOKEN"
else
    set_variable "${prefix}_GRANT" client_credentials
fi

# The first token: an error appears here and not in a later step. It is masked, because
# later steps get the same one until it expires.
# shellcheck disable=SC2016 # the child expands it
tokend exec "$CLIENT" --env TOKEN -- sh -eu -c '
    printf "::add-mask::%s\n" "$(printf %s "$TOKEN" | sed s/%/%25/g)"
    tokend token "$1" --format json >"$2"
' sh "$CLIENT" "$dir/token.json"
{
    echo "client=$CLIENT"
    echo "expires-at=$(sed -n 's/.*"expires_at":"\([^"]*\)".*/\1/p' "$dir/token.json")"
} >>"$GITHUB_OUTPUT"
rm "$dir/token.json"
