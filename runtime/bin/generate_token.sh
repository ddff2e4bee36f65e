#!/bin/sh
# Prints a new access token:  generate_token.sh [--user NAME] [--expiry SECONDS] [--config FILE]
# Defaults: user admin, 86400 seconds (24 hours). The same file works from bin/ and from scripts/.
set -eu

here=$(dirname -- "$(readlink -f -- "$0")")

exec "$here/../bin/bot" token "$@"
