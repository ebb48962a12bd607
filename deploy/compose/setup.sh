#!/bin/sh
# Makes what is secret, once: a password for people and devices, a token for Prometheus. FIELDGATE_SECRETS: the folder.
set -eu
secrets=${FIELDGATE_SECRETS:-/secrets}
umask 022
if [ -s "$secrets/password" ]; then
  echo "The secrets are there already. The password is: $(cat "$secrets/password")"
  exit 0
fi
password=$(python -c 'import secrets; print(secrets.token_urlsafe(12))')
printf '%s\n' "$password" | fieldgate passwd --stdin "$secrets/people" admin
printf '%s\n' "$password" | fieldgate passwd --stdin "$secrets/devices" device
fieldgate token --file "$secrets/tokens" prometheus --role viewer > "$secrets/prometheus-token"
# Grafana and Prometheus read these as users of their own; the volume is for these containers alone.
chmod 0444 "$secrets/people" "$secrets/devices" "$secrets/tokens" "$secrets/prometheus-token"
# Last, so that a run that was cut is made again.
printf '%s' "$password" > "$secrets/password.new"
mv "$secrets/password.new" "$secrets/password"
echo "The password of admin (dashboards, Grafana) and of device (MQTT) is: $password"
