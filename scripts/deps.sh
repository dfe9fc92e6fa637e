#!/bin/sh
# What the tests need beside Go, and the Debian packages that have it.
#
#   deps.sh            installs what is missing where apt-get and root or sudo
#                      are there; with CI=true whatever is missing then is a
#                      failure, elsewhere the tests that need it skip by name
#   deps.sh --install  the same, and what is missing then is always a failure
#   deps.sh --race     prints -race, or nothing where no C compiler can build it
set -eu
cd "$(dirname "$0")/.."

# has TOOL: is it here, and does it work?
has() {
    case $1 in
    cc) # the race detector is linked by it
        [ "$(uname -s)" = Darwin ] ||
            printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
            $(go env CC) -x c -o /dev/null - 2>/dev/null
        ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# packages TOOL: the Debian packages that have it.
packages() {
    case $1 in
    cc) echo gcc libc6-dev ;;
    *) echo "$1" ;;
    esac
}

missing() {
    for tool in cc curl git; do
        has "$tool" || echo "$tool"
    done
}

# install PACKAGE...: by apt-get, as root. A password is asked for on a terminal only.
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
    echo "installing $*" >&2
    $root DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 &&
        $root DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$@" >&2
}

if ! command -v go >/dev/null; then
    echo 'error: go is missing; hint: install Go 1.26 or later from https://go.dev/dl/ and put it on the PATH' >&2
    exit 69
fi
if [ "${1-}" = --race ]; then
    if has cc; then echo -race; fi
    exit 0
fi

lacking=$(missing)
if [ -n "$lacking" ]; then
    # shellcheck disable=SC2046 # words, not one word
    install $(for tool in $lacking; do packages "$tool"; done) || :
    lacking=$(missing)
fi
if [ -n "$lacking" ]; then
    for tool in $lacking; do
        echo "missing: $tool; hint: install $(packages "$tool")" >&2
    done
    if [ "${CI-}" = true ] || [ "${1-}" = --install ]; then
        exit 69
    fi
    echo 'the tests that need it skip, or run without the race detector' >&2
fi
