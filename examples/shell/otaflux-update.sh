#!/bin/sh
# Updates this board if OtaFlux offers another version than the one that runs. Run it from a systemd timer, or from cron:
#   17 * * * * flock -n /run/otaflux.lock otaflux-update.sh
set -eu
server=${OTAFLUX_SERVER:-http://ota.example.com:8080}
device=${OTAFLUX_DEVICE:-gateway}
version_file=${OTAFLUX_VERSION_FILE:-/etc/firmware-version} # part of the firmware: the version that runs
state=${OTAFLUX_STATE:-/var/lib/otaflux}                    # keeps an interrupted download
curlrc=${OTAFLUX_CURLRC:-/dev/null}                         # options for curl: a token, a CA certificate

mkdir -p "$state"
get() { curl -fsS -K "$curlrc" --connect-timeout 10 --speed-limit 1 --speed-time 120 "$@"; }
offer=$(get -H 'Accept: application/json' "$server/version?device=$device")
field() { printf '%s' "$offer" | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
version=$(field version) size=$(field size) sha256=$(field sha256)

if [ "$version" = "$(cat "$version_file")" ]; then
  rm -f "$state"/*.part "$state/tried"
  exit 0
fi
tried=$(grep -c "$sha256" "$state/tried" 2> /dev/null || true)
if [ "${tried:-0}" -ge 3 ]; then
  echo "version $version was installed 3 times, but $(cat "$version_file") is running: giving up" >&2
  exit 1
fi

# The file is named by its digest, so what an earlier run left there is the beginning of this firmware.
file=$state/$sha256.part
for part in "$state"/*.part; do [ "$part" = "$file" ] || rm -f "$part"; done
: >> "$file"
failures=0
while [ "$(wc -c < "$file")" -lt "$size" ]; do
  get -C - -o "$file" "$server/firmware?device=$device&version=$version" && continue
  code=$?
  [ "$code" -ne 22 ] || exit 22 # the server refused: the next run asks again
  [ "$code" -ne 33 ] || : > "$file" # it cannot be resumed
  failures=$((failures + 1))
  [ "$failures" -lt 5 ] || exit "$code"
  sleep $((failures * 10))
done
if ! echo "$sha256  $file" | sha256sum -c - > /dev/null; then
  rm -f "$file"
  exit 1
fi

echo "$sha256" >> "$state/tried"
install-update "$file" # your command: writes the file to the inactive slot, switches to it and reboots
