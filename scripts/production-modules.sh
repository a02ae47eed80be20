#!/bin/sh
# Installs what the image needs beside dist/ into the working directory: production dependencies and the drivers of all
# brokers, without types, source maps and prose. Run by the Dockerfile and by CI.
set -eu
# The drivers are optional peer dependencies, which npm leaves out with the tests' dependencies; here they are
# dependencies like all others, in the versions of the lock file.
node -e '
  const { readFileSync, writeFileSync } = require("fs");
  const manifest = JSON.parse(readFileSync("package.json", "utf8"));
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  for (const name of Object.keys(manifest.peerDependencies))
    manifest.dependencies[name] = packages[`node_modules/${name}`].version;
  for (const key of ["devDependencies", "peerDependencies", "peerDependenciesMeta"]) delete manifest[key];
  writeFileSync("package.json", JSON.stringify(manifest, null, 2));'
# The store of units has native code: that of the target platform, for images of another one. Docker calls it TARGETARCH.
case ${TARGETARCH:-} in amd64) cpu=--cpu=x64 ;; arm64) cpu=--cpu=arm64 ;; *) cpu= ;; esac
npm install --omit=dev --ignore-scripts --no-audit --no-fund ${cpu:+--os=linux --libc=glibc "$cpu"}
# Of its builds, Node 22 and later use this one.
find node_modules/@lmdb \( -name '*.abi*.node' -o -name '*.musl.node' \) -delete
find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.md' -o -name '*.flow' \) -delete
rm -rf node_modules/.package-lock.json node_modules/.bin
