#!/bin/bash
# Turns a fresh machine into the chat service, and tells `cdktf deploy` how far it is.
#
# Runs as bot-bootstrap.service until it has succeeded once, some times in a boot and again on the next, and by hand at
# any time: what is already as it should be is left alone. After each step a report goes to
# s3://$BUCKET/$REPORT_PREFIX<instance-id>.json, where the deploy waits for it; on failure it carries the cause, the
# remedy and the end of the log.

# The trap comes first: from here on, every way out of this script ends in a report.
set -Eeuo pipefail
trap 'finish $?' EXIT
trap 'MESSAGE="stopped by a signal, or over the time limit of bot-bootstrap.service; read the log, then run cdktf deploy again"; exit 143' HUP INT TERM
trap 'MESSAGE=${MESSAGE:-"line $LINENO: \"$BASH_COMMAND\" exited with $?; read the log, then run cdktf deploy again"}' ERR

LIB=/usr/local/lib/bot
STATE=/run/bot-bootstrap
export LOG=/var/log/bot-bootstrap.log LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
export STATUS=running STEP=start MESSAGE='' STEPS='' FINGERPRINT=''
REPORTER=''

# What a run has changed and not yet put to work. A file, so that a run that was cut off is carried on by the next.
changed() { echo "$1" >>"$STATE/changed"; }
has_changed() { grep -qxE "$1" "$STATE/changed"; }

# On a full disk, too.
say() { echo "[$(date '+%F %T')] [$1] $2" | tee -a "$LOG" >&3 || true; }

# fail MESSAGE: one line with the cause and the remedy.
fail() {
  MESSAGE=$1
  exit 1
}

# One report at a time, so that an older one never overwrites a newer one: one that S3 takes its time for is given up.
end_reporter() {
  [ -z "$REPORTER" ] || kill "$REPORTER" 2>/dev/null || true
  REPORTER=''
}

report() {
  end_reporter
  "$LIB/aws.py" report || say WRN "the report of step $STEP could not be written"
}

# Without a job of the shell's, which would have it say that it was ended.
report_in_background() {
  end_reporter
  "$LIB/aws.py" report &
  REPORTER=$!
  disown "$REPORTER"
}

# step NAME: runs step_NAME, and adds its seconds to the report.
step() {
  local from=${EPOCHREALTIME/./} hundredths
  STEP=$1
  report_in_background
  "step_$1"
  hundredths=$(((${EPOCHREALTIME/./} - from) / 10000))
  STEPS+="$1=$((hundredths / 100)).$(printf %02d $((hundredths % 100))) "
  say INF "step $1 done (${STEPS##*"$1="}s)"
}

finish() {
  trap - EXIT ERR
  set +e
  [ "$STATUS" = ready ] && exit 0
  STATUS=failed
  : "${MESSAGE:=exited with $1; read the log, then run cdktf deploy again}"
  name_the_cause
  say ERR "step $STEP failed: $MESSAGE"
  rm -f /usr/sbin/policy-rc.d
  jobs -p | xargs -r kill 2>/dev/null
  wait
  report
  # However early this failed: somebody will want a shell.
  start_session_agent
  exit 1
}

# A wrong clock or a full disk breaks now this, now that: whichever it was, this is what a person has to know.
name_the_cause() {
  local clock
  clock=$(grep -ahm 1 "machine's clock is" "$STATE"/*.error | tail -n 1)
  if [ -n "$clock" ]; then
    MESSAGE=$clock
  elif disk_is_full "$MESSAGE"; then
    MESSAGE="the disk is full ($(df -h --output=size / | awk 'END { print $1 }')): ${MESSAGE%%;*}; raise diskGiB and run cdktf deploy, then reboot the machine"
  fi
}

# In the words of the C library, of tar, and of apt; which may also find its lists cut off, and say only that.
# Who fails by it mostly makes room again, and so do the downloads beside apt.
disk_is_full() {
  [[ $1 == *'No space left'* || $1 == *'Wrote only'* || $1 == *'enough free space'* ]] || (($(stat -fc '%f*%S' /) < 1 << 20)) ||
    grep -qaE 'No space left|Wrote only' "$STATE"/*.error
}

# The way into a machine without SSH. Once apt is free, and in the background: no step waits for it.
start_session_agent() {
  systemctl start --no-block bot-session-agent.service || say WRN 'no shell through SSM: bot-session-agent.service does not start'
}

# --- downloads: all start at once and run beside apt ----------------------------------------------------------------

# A release is unpacked beside its place and renamed, so its folder is either whole or not there.
fetch_bundle() {
  local release=/opt/bot/releases/${BUNDLE_SHA256:0:12}
  [ ! -d "$release" ] || return 0
  rm -rf "$release".*
  mkdir -p "$release.new"
  "$LIB/aws.py" get "$BUNDLE_KEY" "$BUNDLE_SHA256" "$release.tar.gz"
  tar -xzf "$release.tar.gz" --no-same-owner -C "$release.new" || {
    rm -rf "$release".*
    return 1
  }
  sync -f "$release.new"
  mv -T "$release.new" "$release"
  rm "$release.tar.gz"
}

fetch_model() {
  local file=/opt/bot/models/$MODEL_FILE
  mkdir -p /opt/bot/models
  echo "$MODEL_SHA256  $file" | sha256sum --check --status 2>/dev/null || "$LIB/aws.py" get "$MODEL_KEY" "$MODEL_SHA256" "$file"
}

# Unpacked before it has its name, so that one that was cut off is fetched again.
fetch_files() {
  local archive=$LIB/files.zip
  ! echo "$FILES_SHA256  $archive" | sha256sum --check --status 2>/dev/null || return 0
  "$LIB/aws.py" get "$FILES_KEY" "$FILES_SHA256" "$archive.new"
  python3 -m zipfile -e "$archive.new" "$LIB"
  mv "$archive.new" "$archive"
}

start_download() {
  "fetch_$1" 2>"$STATE/$1.error" &
  echo $! >"$STATE/$1.pid"
}

await_download() {
  # tar says what it lacks first, and last that it has failed.
  wait "$(cat "$STATE/$1.pid")" || fail "$(grep -aEm 1 'No space left|Wrote only' "$STATE/$1.error" || tail -n 1 "$STATE/$1.error")"
}

# --- the steps, in order --------------------------------------------------------------------------------------------

# Patience: a package mirror that hiccups, another apt that holds the lock, or an Elastic IP that arrives (and cuts
# running connections) while this runs, each gets a minute.
step_packages() {
  local wanted deadline=$((SECONDS + 60)) pause=1 tries=0 logged
  read -ra wanted <<<"$PACKAGES"
  # What a run that was cut off has left: see below.
  rm -f /usr/sbin/policy-rc.d
  "${PACKAGE_MANAGER}_has" "${wanted[@]}" >/dev/null 2>&1 && return
  # Debian's way to keep packages from starting their services: nginx would come up with its welcome page.
  printf '#!/bin/sh\nexit 101\n' | install -m 0755 /dev/stdin /usr/sbin/policy-rc.d
  until logged=$(stat -c %s "$LOG") && "${PACKAGE_MANAGER}_install" "${wanted[@]}"; do
    MESSAGE="$PACKAGE_MANAGER could not install ${wanted[*]}: $(package_error "$logged")"
    # One try alone may last until the deadline.
    if ((++tries > 1 && SECONDS >= deadline)) || disk_is_full "$MESSAGE"; then
      fail "$MESSAGE; check that the subnet reaches the package mirror (route, egress rule, DNS), then run cdktf deploy again"
    fi
    MESSAGE+=', trying again'
    report_in_background
    sleep $((pause *= 2))
  done
  MESSAGE=''
  rm /usr/sbin/policy-rc.d
}

# package_error BYTES: what a try has said of its failure, behind so much of the log. Of a full disk dpkg tells, before apt
# says that dpkg has failed. One that is ended at its time limit says nothing.
package_error() {
  local said
  said=$(tail -c "+$(($1 + 1))" "$LOG" | grep -aE '^(E|Error): |No space left' | grep -av 'Some index files') || said='it was ended at its time limit, or gave no reason'
  grep -am 1 'No space left' <<<"$said" || tail -n 1 <<<"$said"
}

# Not `dpkg -s`, which is content with a package that a power cut left half unpacked.
apt_has() {
  [ -z "$(dpkg --audit)" ] && [ "$(dpkg-query -Wf '${db:Status-Status} ' "$@")" = "$(printf 'installed %.0s' "$@")" ]
}
dnf_has() { rpm -q "$@"; }
dnf_install() { timeout 240 dnf -qy --setopt=install_weak_deps=False install "$@"; }

# On a first boot nothing is lost by a crash in dpkg, so its fsync of each file is left out (force-unsafe-io).
apt_install() {
  dpkg --configure -a || return
  # Where a power cut left them unpacked, no mirror is needed.
  if apt_has "$@" >/dev/null 2>&1; then return; fi
  timeout 60 apt-get -q -o Acquire::http::Timeout=8 -o Acquire::Retries=0 -o Acquire::Languages=none --error-on=any update &&
    timeout 180 apt-get -qy -o Acquire::http::Timeout=8 -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confold \
      -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io --no-install-recommends install "$@"
}

step_user() {
  getent passwd bot >/dev/null || useradd --system --user-group --home-dir /var/lib/bot --no-create-home --shell /usr/sbin/nologin bot
  install -d -m 0750 -o bot -g bot /var/log/bot /var/lib/bot
  install -d -m 0750 -g bot /etc/bot
  install -d -m 0700 /etc/bot/tls
}

step_bundle() {
  local target=releases/${BUNDLE_SHA256:0:12}
  await_download bundle
  if [ "$(readlink /opt/bot/current)" != "$target" ]; then
    ln -sfn "$target" /opt/bot/current.new
    mv -T /opt/bot/current.new /opt/bot/current
    changed bundle
  fi
  [ -e /opt/bot/bin ] || ln -s current/bin /opt/bot/bin
  [ -e /opt/bot/scripts ] || ln -s current/scripts /opt/bot/scripts
}

step_model() { await_download model; }

# What a disk has that was restored from the snapshot of a deployment with more in it.
retire() {
  local unit
  for unit; do
    ! systemctl is-enabled --quiet "$unit" 2>/dev/null || systemctl disable --quiet --now "$unit"
    [[ $unit != bot-* ]] || rm -f "/etc/systemd/system/$unit"
  done
}

# put FILE TARGET MODE GROUP: writes the target only if it differs, and remembers that it did.
put() {
  if ! cmp -s "$LIB/$1" "$2"; then
    install -D -m "$3" -g "$4" "$LIB/$1" "$2"
    changed "$1"
  fi
}

step_configure() {
  await_download files
  put config.yaml /etc/bot/config.yaml 0640 bot
  put bot.service /etc/systemd/system/bot.service 0644 root
  put nginx.conf /etc/nginx/conf.d/bot.conf 0644 root
  put nftables.conf /etc/nftables.conf 0644 root
  put logrotate.conf /etc/logrotate.d/bot 0644 root
  put journald.conf /etc/systemd/journald.conf.d/bot.conf 0644 root
  if [ -n "$MONITORED" ]; then
    put bot-monitoring-agent.service /etc/systemd/system/bot-monitoring-agent.service 0644 root
    chmod 0755 "$LIB/monitoring-agent.sh"
  else
    retire bot-monitoring-agent.service amazon-cloudwatch-agent.service
  fi
  if [ -n "$DOMAIN" ]; then
    put bot-certificate.service /etc/systemd/system/bot-certificate.service 0644 root
    put bot-certificate.timer /etc/systemd/system/bot-certificate.timer 0644 root
    chmod 0755 "$LIB/certificate.sh"
  else
    retire bot-certificate.timer bot-certificate.service
  fi
  # nginx's welcome page on port 80: a file with apt, a block of the main file with dnf.
  rm -f /etc/nginx/sites-enabled/default
  if [ "$PACKAGE_MANAGER" = dnf ]; then
    sed -i '/^    server {/,/^    }/d' /etc/nginx/nginx.conf
    ln -sfn /etc/nftables.conf /etc/sysconfig/nftables.conf
  fi
}

step_tls() {
  local cert=/etc/bot/tls/cert.pem
  if [ -n "$DOMAIN" ]; then certify; else sign_itself; fi
  FINGERPRINT=$(openssl x509 -in "$cert" -noout -fingerprint -sha256)
  FINGERPRINT=${FINGERPRINT#*=}
}

certify() {
  "$LIB/certificate.sh" 2>"$STATE/certificate.error" && return
  cat "$STATE/certificate.error" >>"$LOG"
  fail "no certificate for $DOMAIN from $ACME_SERVER: $(tail -n 3 "$STATE/certificate.error" | tr -s '\n\t' ' '); see that the internet asks the name servers of hosted zone $HOSTED_ZONE_ID for the domain, then run cdktf deploy again"
}

# 825 days: the longest that Apple's clients accept in a server certificate, whoever signed it. Clients pin it by the
# fingerprint in the report. Nothing renews it by itself, for clients would have to be told: a new machine comes with a
# new one, and in its last 30 days so does a run of this script by hand.
sign_itself() {
  local key=/etc/bot/tls/key.pem names address
  if ! openssl x509 -in "$cert" -noout -checkend 2592000 >/dev/null 2>&1; then
    names=DNS:localhost,DNS:$(hostname),IP:127.0.0.1
    for address in $PUBLIC_ADDRESS $("$LIB/aws.py" imds meta-data/public-ipv4 2>/dev/null || true) $([ -z "${IPV6:-}" ] || "$LIB/aws.py" imds meta-data/ipv6 2>/dev/null || true); do
      names+=",IP:$address"
    done
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 825 -subj /CN=bot \
      -addext "subjectAltName=$names" -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth -keyout "$key" -out "$cert")
    changed certificate
  fi
}

# The service loads its model while the rest is set up.
step_services() {
  local from=$EPOCHSECONDS verb=start
  ! has_changed 'bundle|config.yaml|bot.service' || verb=restart
  systemctl daemon-reload
  systemctl reset-failed bot.service nginx.service 2>/dev/null || true
  systemctl "$verb" --no-block bot.service
  systemctl enable --quiet nftables.service nginx.service bot.service logrotate.timer bot-session-agent.service
  if has_changed journald.conf; then systemctl restart systemd-journald.service; fi
  [ -z "$DOMAIN" ] || systemctl enable --quiet --now bot-certificate.timer
  if has_changed nftables.conf; then verb=restart; else verb=start; fi
  systemctl "$verb" nftables.service
  free_of_others 443
  [ -z "$EXTERNAL_PORT" ] || free_of_others "$EXTERNAL_PORT"
  nginx -t
  if has_changed 'nginx.conf|certificate'; then verb=reload-or-restart; else verb=start; fi
  systemctl "$verb" nginx.service
  systemctl start bot.service || fail "$(why_bot_failed "$from")"
}

# The runtime's own last word names cause and remedy; its whole journal goes to the log, and so into the report.
why_bot_failed() {
  local journal error
  journal=$(journalctl --unit bot.service --since "@$1" --output cat --no-pager)
  echo "$journal" >>"$LOG"
  error=$(grep -a '\[ERR\]' <<<"$journal" | tail -n 1)
  echo "bot.service did not start: ${error##*\[ERR\] }"
}

free_of_others() {
  local owner
  owner=$(ss -Hltnp "sport = :$1" | sed -nE '/"nginx"/d; s/.*\(\("([^"]+)",pid=([0-9]+).*/\1 (process \2)/p')
  [ -z "$owner" ] || fail "port $1 is taken by ${owner%%$'\n'*}; stop it, or (unless it is 443) change the prop externalPort and run cdktf deploy again"
}

# In words that systemd keeps: why it is not ready.
what_bot_says() {
  local status
  status=$(systemctl show --property StatusText --value bot.service)
  [ -z "$status" ] || echo " (it says: $status)"
}

step_ready() {
  local url host=${DOMAIN:-localhost}
  for url in "https://$host/readyz" ${EXTERNAL_PORT:+"http://localhost:$EXTERNAL_PORT/readyz"}; do
    curl -fsS --cacert /etc/bot/tls/cert.pem --resolve "$host:443:127.0.0.1" --retry 20 --retry-delay 1 --retry-max-time 30 --retry-all-errors --max-time 10 -o /dev/null "$url" ||
      fail "$url did not answer within 30 s although bot.service runs$(what_bot_says); read /var/log/nginx/error.log and: journalctl -u bot"
  done
}

# --- main -----------------------------------------------------------------------------------------------------------

exec 3>&1 >>"$LOG" 2>&1 </dev/null
exec 9>/run/bot-bootstrap.lock
if ! flock -n 9; then
  trap - EXIT
  say WRN 'another run is under way'
  exit 75
fi
set -a
# shellcheck source=/dev/null
. "$LIB/bootstrap.env"
set +a
INSTANCE_ID=$(</var/lib/cloud/data/instance-id)
export INSTANCE_ID
mkdir -p "$STATE"
touch "$STATE/changed"
for name in files bundle model; do start_download "$name"; done
for name in packages user bundle model configure tls services ready; do
  step "$name"
  [ "$name" != packages ] || start_session_agent
done
STEP=ready STATUS=ready MESSAGE="answers on port 443 (TLS)${EXTERNAL_PORT:+ and port $EXTERNAL_PORT}"
report
[ -z "$MONITORED" ] || systemctl enable --quiet --now --no-block bot-monitoring-agent.service || say WRN 'bot-monitoring-agent.service does not start'
[ -e /var/lib/cloud/instance/bot-bootstrapped ] || touch /var/lib/cloud/instance/bot-bootstrapped
rm "$STATE/changed"
say INF "$MESSAGE"
