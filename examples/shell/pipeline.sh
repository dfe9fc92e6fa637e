#!/bin/sh
# A step of any pipeline, in one line: the last one. It needs no running service; a
# store keeps the grant while the command runs.
#
# Without a tenant of your own it starts the mock: start.sh has the settings.
set -eu
cd "$(dirname "$0")"
. ./start.sh

tokend exec demo --min-validity 10m -- ./call.sh
