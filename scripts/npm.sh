#!/bin/sh
# Builds mockauth0 for every platform of the npm packages and packs them into dist/npm.
# VERSION=v1.2.3 is the version of the programs and the packages; by default it is the one
# that Go reads from the tags.
set -eu
cd "$(dirname "$0")/.."
out=dist/npm
platforms='linux-x64 linux-arm64 darwin-x64 darwin-arm64 win32-x64 win32-arm64' # as Node.js names them

rm -rf "$out"
ldflags="-s -w${VERSION:+ -X example.com/tokend/internal/version.linked=$VERSION}"
for platform in $platforms; do
    os=${platform%-*} arch=${platform#*-} program=mockauth0
    [ "$arch" != x64 ] || arch=amd64
    [ "$os" != win32 ] || os=windows program=mockauth0.exe
    echo "building $platform" >&2
    CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "$ldflags" -o "$out/programs/$platform/$program" ./cmd/mockauth0
done

[ -n "${VERSION-}" ] || VERSION=$(go version -m "$out/programs/linux-x64/mockauth0" | awk '$1 == "mod" { print $3 }')
version=${VERSION#v}
node npm/pack.mjs "${version%%+*}" "$out/programs" "$out" # npm drops what follows a +
