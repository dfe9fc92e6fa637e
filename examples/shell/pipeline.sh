#!/bin/sh
# A step of any pipeline, in one line: the last one. No service has to run; the
# grant is kept in a store for the time of the command.
#
# Without a tenant of your own it starts the mock: start.sh has the settings.
set -eu
cd "$(dirname "$0")"
. ./start.sh

tokend exec demo --min-validity 10m -- ./call.sh
