#!/bin/sh
# Builds mockauth0 and packs it into npm packages in dist/npm: for every platform with
# VERSION=v1.2.3, the version of the programs and the packages; otherwise for this machine,
# with the tag of this commit as the version, or one with the commit's hash.
set -eu
cd "$(dirname "$0")/.."
out=dist/npm
platforms='linux-x64 linux-arm64 darwin-x64 darwin-arm64 win32-x64 win32-arm64' # as Node.js names them

[ -n "${VERSION-}" ] || platforms=$(node -p 'process.platform + "-" + process.arch')
[ -n "${VERSION-}" ] || VERSION=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null) ||
    VERSION=v0.0.0-g$(git rev-parse --short=12 HEAD)
rm -rf "$out"
for platform in $platforms; do
    os=${platform%-*} arch=${platform#*-} program=mockauth0
    [ "$arch" != x64 ] || arch=amd64
    [ "$os" != win32 ] || os=windows program=mockauth0.exe
    echo "building $platform" >&2
    CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X example.com/tokend/internal/version.linked=$VERSION" \
        -o "$out/programs/$platform/$program" ./cmd/mockauth0
done

node npm/pack.mjs "${VERSION#v}" "$out/programs" "$out"
