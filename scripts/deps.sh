#!/bin/sh
# What the tests need in addition to Go: Debian packages, and the npm packages that
# e2e/referees/npm/package-lock.json pins.
#
#   deps.sh            installs what is missing where apt-get and root or sudo
#                      are there; with CI=true whatever is missing then is a
#                      failure, elsewhere the tests that need it skip by name
#   deps.sh --install  the same, and what is missing then is always a failure
#   deps.sh --npm DIR  installs the npm packages of another folder, for make bench
#   deps.sh --race     prints -race, or nothing where no C compiler can build it
set -eu
cd "$(dirname "$0")/.."
python_modules='import authlib, cryptography, jwt, pytest, requests'
node_dir=e2e/referees/node # a Node.js from npm, where Debian's is too old

# has TOOL: whether it is installed and works.
has() {
    case $1 in
    cc) # the race detector is linked by it
        [ "$(uname -s)" = Darwin ] ||
            printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
            $(go env CC) -x c -o /dev/null - 2>/dev/null
        ;;
    node) # 20.19, which the npm packages ask for: the system's, or the pinned one
        ls "$node_dir"/node_modules/*/bin/node 2>/dev/null ||
            node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
        ;;
    chromium) # or what other systems call it
        command -v chromium || command -v chromium-browser || command -v google-chrome ||
            [ -x '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' ]
        ;;
    postgres) # its binaries are not on the PATH of Debian
        ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null || command -v initdb
        ;;
    pgbouncer) command -v pgbouncer || [ -x /usr/sbin/pgbouncer ] ;;
    systemd-analyze) # of Linux alone
        [ "$(uname -s)" != Linux ] || command -v systemd-analyze
        ;;
    bash-completion) [ "$(uname -s)" != Linux ] || [ -e /usr/share/bash-completion/bash_completion ] ;;
    oidc-agent) # packaged for Linux
        [ "$(uname -s)" != Linux ] || command -v oidc-agent
        ;;
    authlib) # with PyJWT, pytest and what they need: a Python of its own may come first in the path
        [ "$(uname -s)" != Linux ] || python3 -c "$python_modules" 2>/dev/null || /usr/bin/python3 -c "$python_modules" 2>/dev/null
        ;;
    *) command -v "$1" ;;
    esac >/dev/null
}

# packages TOOL: the Debian packages that have it.
packages() {
    case $1 in
    cc) echo gcc libc6-dev ;;
    node) echo nodejs ;;
    authlib) echo python3-authlib python3-cryptography python3-jwt python3-pytest python3-requests ;;
    oidc-agent) echo oidc-agent-cli ;;
    postgres) echo postgresql ;;
    promtool) echo prometheus ;;
    systemd-analyze) echo systemd ;; # systemd-socket-activate, too
    *) echo "$1" ;;
    esac
}

missing() {
    for tool in authlib bash-completion cc chromium curl git node npm oidc-agent pgbouncer postgres promtool python3 systemd-analyze; do
        has "$tool" || echo "$tool"
    done
}

# install TOOL...: by apt-get, as root. A password is asked for on a terminal only.
install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -eq 0 ]; then
        root=env
    elif ! command -v sudo >/dev/null; then
        return 1
    elif [ -t 0 ]; then
        root='sudo env'
    else
        root='sudo -n env'
    fi
    $root DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 || return 1
    for tool in "$@"; do # one by one: what there is not must not stop the others
        has "$tool" && continue # it came with another
        echo "installing $(packages "$tool")" >&2
        # shellcheck disable=SC2046 # words, not one word
        $root DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y $(packages "$tool") >&2 || :
    done
}

# npm_packages DIR installs what its lock file pins, unless that is there already.
npm_packages() {
    dir=$1
    [ -z "$(find "$dir/node_modules/.package-lock.json" -newer "$dir/package-lock.json" 2>/dev/null)" ] || return 0
    echo "installing the npm packages of $dir" >&2
    (cd "$dir" && npm ci --ignore-scripts --loglevel=error >&2)
}

if ! command -v go >/dev/null; then
    echo 'error: go is missing; hint: install Go 1.26 or later from https://go.dev/dl/ and put it on the PATH' >&2
    exit 69
fi
if [ "${1-}" = --race ]; then
    if has cc; then echo -race; fi
    exit 0
fi

if [ "${1-}" = --npm ]; then
    has npm || install npm || :
    npm_packages "$2" || {
        echo "missing: the npm packages of $2; hint: install npm, and see what npm ci says there" >&2
        exit 69
    }
    exit 0
fi

lacking=$(missing)
if [ -n "$lacking" ]; then
    # shellcheck disable=SC2086 # words, not one word
    install $lacking || :
    lacking=$(missing)
fi
if has npm && ! has node && [ "$(uname -s)" = Linux ] && npm_packages $node_dir; then
    lacking=$(missing)
fi
if has node && has npm && ! npm_packages e2e/referees/npm; then
    lacking="$lacking node_modules"
fi
if [ -n "$lacking" ]; then
    for tool in $lacking; do
        case $tool in
        node) hint='install nodejs, 20.19 or later' ;;
        node_modules) hint='see what npm ci says in e2e/referees/npm' ;;
        *) hint="install $(packages "$tool")" ;;
        esac
        echo "missing: $tool; hint: $hint" >&2
    done
    if [ "${CI-}" = true ] || [ "${1-}" = --install ]; then
        exit 69
    fi
    echo 'the tests that need it skip, or run without the race detector' >&2
fi
