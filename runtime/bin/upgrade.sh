#!/bin/sh
# Runs another version of the service, with a backup before and a way back:  upgrade.sh --version X [--from FILE]
# upgrade.sh --help says the rest.
set -eu

here=$(dirname -- "$(readlink -f -- "$0")")

exec "$here/../bin/bot" upgrade "$@"
