#!/usr/bin/env bash
# Builds the image as the Dockerfile has it, and runs it as Kubernetes would: a read-only root file system, no capabilities, a
# user without a name. As root; needs buildah, podman, runc, curl, and the base images or what base-images.sh needs.
# The image is left behind under the name of the first argument.
set -euo pipefail
cd "$(dirname "$0")/../.."

image=${1:-localhost/otaflux:test}
work=$(mktemp -d)
engine=(podman --runtime runc --cgroup-manager cgroupfs)
trap '"${engine[@]}" rm --force --time 0 otaflux-image-test > /dev/null 2>&1 || true; rm -rf "$work"' EXIT

node_version=$(sed -n 's/^ARG NODE_VERSION=//p' Dockerfile)
for base in "docker.io/library/node:$node_version-bookworm" gcr.io/distroless/cc-debian12:nonroot; do
  buildah inspect --type image "$base" > /dev/null 2>&1 || buildah pull --quiet "$base" 2> /dev/null ||
    { echo "$base cannot be pulled: made from packages"; test/image/base-images.sh; }
done
# chroot asks the least of the machine; `docker` is the format that has HEALTHCHECK.
buildah bud --isolation chroot --network host --pull=false --format docker --quiet --tag "$image" \
  --build-arg VERSION=1.2.3 --build-arg REVISION=abc . > /dev/null

read -r bytes user version < <("${engine[@]}" image inspect "$image" \
  --format '{{.Size}} {{.Config.User}} {{index .Labels "org.opencontainers.image.version"}}')
echo "$((bytes / 1000000)) MB"
[ "$bytes" -lt 200000000 ] && [ "$user" = 65532:65532 ] && [ "$version" = 1.2.3 ]

management=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
head -c 100000 /dev/urandom > "$work/firmware.bin"
mkdir -m 777 "$work/registry" "$work/state"
chmod 755 "$work"
run=(run --network host --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --read-only --tmpfs /tmp
  --cap-drop all --security-opt no-new-privileges --volume "$work:/data")
"${engine[@]}" "${run[@]}" --rm "$image" push smoke 1.0.0 /data/firmware.bin --registry-url oci:/data/registry
"${engine[@]}" "${run[@]}" --detach --name otaflux-image-test --env LOG_FORMAT=json --env LISTEN_ADDR=127.0.0.1:0 \
  --env "METRICS_LISTEN_ADDR=127.0.0.1:$management" \
  --env STATE_DIR=/data/state --env NOTIFY=redis://127.0.0.1:1,nats://127.0.0.1:1,amqp://127.0.0.1:1,kafka://127.0.0.1:1 "$image" --registry-url oci:/data/registry > /dev/null 2>&1
for _ in $(seq 100); do
  address=$("${engine[@]}" logs otaflux-image-test 2>&1 | sed -n 's/.*"server.ready".*"address":"\([^"]*\)".*/\1/p')
  [ -n "$address" ] && break
  sleep 0.1
done
curl --fail --silent --show-error --retry 5 "http://$address/version?device=smoke" | head -n 1
curl --fail --silent --show-error --output "$work/received.bin" "http://$address/firmware?device=smoke"
cmp "$work/firmware.bin" "$work/received.bin"

# The store of units has native code.
curl --fail --silent --show-error --data '{"outcome":"installed","version":"1.0.0"}' "http://$address/report?device=smoke&unit=a"
test -s "$work/state/units/data.mdb"

# What HEALTHCHECK says, and the command that an operator types.
"${engine[@]}" healthcheck run otaflux-image-test
"${engine[@]}" exec otaflux-image-test otaflux status
"${engine[@]}" exec otaflux-image-test otaflux units smoke
"${engine[@]}" "${run[@]}" --rm "$image" status --metrics-listen-addr "127.0.0.1:$management"
for program in npm sh; do
  if "${engine[@]}" exec otaflux-image-test $program --version > /dev/null 2>&1; then echo "the image holds $program" >&2; exit 1; fi
done
# SIGTERM reaches the process, which ends by itself.
"${engine[@]}" stop --time 20 otaflux-image-test > /dev/null 2>&1
[ "$("${engine[@]}" inspect --format '{{.State.ExitCode}}' otaflux-image-test)" = 0 ]
"${engine[@]}" logs otaflux-image-test 2>&1 | grep -q server.stopped
echo "the image serves, probes itself, and ends when it is told"
