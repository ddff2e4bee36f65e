#!/bin/sh
# collect-logs.sh DISK TARGET: what a guest has written down, taken from its disk once it is down.
set -u
mkdir -p "$2"
for file in cloud-init.log cloud-init-output.log bot-bootstrap.log bot nginx; do
  [ ! -e "$1/var/log/$file" ] || cp -r "$1/var/log/$file" "$2/"
done
journalctl --directory="$1/var/log/journal" --no-pager >"$2/journal.log" 2>/dev/null || true
