#!/bin/sh
# Copies the programs, their completions and man pages from a folder into a prefix, to where
# man and the shells look.
#
#   install.sh BIN PREFIX  BIN has the programs, and the folders completions and man
set -eu
prefix=$2
share=$prefix/share
cd "$1"

mkdir -p "$prefix/bin" "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
install -m 755 tokend tokend-credential mockauth0 "$prefix/bin"
for helper in docker-credential git-credential terraform-credentials; do
    ln -sf tokend-credential "$prefix/bin/$helper-tokend"
done
install -m 644 man/*.1 "$share/man/man1"
for program in tokend mockauth0; do
    install -m 644 "completions/$program.bash" "$share/bash-completion/completions/$program"
    install -m 644 "completions/_$program" "$share/zsh/site-functions"
    install -m 644 "completions/$program.fish" "$share/fish/vendor_completions.d"
done
