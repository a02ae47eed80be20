#!/usr/bin/env bash
# Makes the two images that the Dockerfile starts from, by their names and in buildah's store, where they cannot be pulled:
# Node's from Debian and the npm packages of Node and npm, distroless from the Debian packages that it consists of. They stand
# in for the real ones in tests; what is released is built from those. As root; needs buildah, debootstrap, npm.
set -euo pipefail

node_version=$(sed -n 's/^ARG NODE_VERSION=//p' "$(dirname "$0")/../../Dockerfile")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arch=$(node -p process.arch)

commit() { # FOLDER IMAGE [buildah config flags]
  local container
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$1" / > /dev/null
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${@:3}" "$container"
  buildah commit --quiet --rm "$container" "$2"
}

debootstrap --variant=minbase --include=ca-certificates,binutils,libatomic1,libstdc++6 bookworm "$work/node" > "$work/log" ||
  { tail -n 5 "$work/log" >&2; exit 1; }
npm install --silent --no-save --ignore-scripts --prefix "$work/npm" "node-linux-$arch@$node_version" npm@11
cp "$work/npm/node_modules/node-linux-$arch/bin/node" "$work/node/usr/local/bin/"
mkdir -p "$work/node/usr/local/lib/node_modules"
cp -r "$work/npm/node_modules/npm" "$work/node/usr/local/lib/node_modules/"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/usr/local/bin/npm"
# Behind a proxy that opens TLS, npm has to trust what this machine trusts.
cp -L /etc/ssl/certs/ca-certificates.crt "$work/node/etc/ssl/certs/"
commit "$work/node" "docker.io/library/node:$node_version-bookworm" \
  --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt

# https://github.com/GoogleContainerTools/distroless: base and cc of Debian 12, user nonroot.
mkdir "$work/debs" "$work/distroless"
(cd "$work/debs" && apt-get download -qq base-files netbase tzdata libc6 libssl3 libgcc-s1 libgomp1 libstdc++6 gcc-12-base)
for package in "$work"/debs/*.deb; do dpkg -x "$package" "$work/distroless"; done
mkdir -p "$work"/distroless/{etc/ssl/certs,home/nonroot}
cp -L /etc/ssl/certs/ca-certificates.crt "$work/distroless/etc/ssl/certs/"
printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' > "$work/distroless/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' > "$work/distroless/etc/group"
commit "$work/distroless" gcr.io/distroless/cc-debian12:nonroot --user 65532 --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
