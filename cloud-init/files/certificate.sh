#!/bin/bash
# Sees that /etc/bot/tls holds a certificate for $DOMAIN that lasts 30 more days: as it is, from the bucket, or new, by
# ACME. Run by bootstrap.sh, and twice a day by bot-certificate.timer. The last lines on standard error say what failed.
#
# The challenge is a TXT record: the only one that works with every port closed to everybody but the users, and before
# the machine has its address. The bucket keeps the certificate for the machine after this one, because Let's Encrypt
# gives out five a week.
set -euo pipefail
umask 077

LIB=/usr/local/lib/bot
STATE=/etc/bot/acme
TLS=/etc/bot/tls
DAYS=30
MINUTES=5

certificate=$STATE/certificates/$DOMAIN.crt
lasts() { openssl x509 -in "$certificate" -noout -checkend $((DAYS * 86400)) >/dev/null 2>&1; }

mkdir -p "$STATE"
if ! lasts && "$LIB/aws.py" fetch "$CERTIFICATE_KEY" "$STATE/archive.tar.gz"; then
  tar -xzf "$STATE/archive.tar.gz" --no-same-owner -C "$STATE"
  rm "$STATE/archive.tar.gz"
fi
if ! lasts; then
  # disable-cp: Route 53 itself says when every one of its servers has the record; asking them needs a way out for DNS.
  timeout "${MINUTES}m" env AWS_REGION="$REGION" AWS_HOSTED_ZONE_ID="$HOSTED_ZONE_ID" \
    lego --accept-tos --path "$STATE" --server "$ACME_SERVER" --email "$ACME_EMAIL" --domains "$DOMAIN" \
    --key-type ec256 --dns route53 --dns.disable-cp run >&2
  tar -czf "$STATE/archive.tar.gz" -C "$STATE" accounts certificates
  "$LIB/aws.py" store "$CERTIFICATE_KEY" "$STATE/archive.tar.gz"
  rm "$STATE/archive.tar.gz"
fi

if ! cmp -s "$certificate" "$TLS/cert.pem"; then
  # The key first: nginx, which reads both when it is told to, never has one without the other for longer than this.
  install -m 0600 "$STATE/certificates/$DOMAIN.key" "$TLS/key.pem"
  install -m 0644 "$certificate" "$TLS/cert.pem"
  ! systemctl is-active --quiet nginx.service || systemctl reload nginx.service
fi
