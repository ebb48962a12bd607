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
# Gateway and receiver, the image's user, read these, and nobody else;
chmod 0400 "$secrets/people" "$secrets/devices" "$secrets/tokens"
[ "$(id -u)" != 0 ] || chown 10001:10001 "$secrets/people" "$secrets/devices" "$secrets/tokens"
# this one and the password are read by Prometheus and Grafana, as users of their own.
chmod 0444 "$secrets/prometheus-token"
# Last, so that a run that was cut is made again.
printf '%s' "$password" > "$secrets/password.new"
mv "$secrets/password.new" "$secrets/password"
echo "The password of admin (dashboards, Grafana) and of device (MQTT) is: $password"
