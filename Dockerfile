# syntax=docker/dockerfile:1
ARG NODE_VERSION=26

# Built on the machine's own platform: what comes out is JavaScript, the same for all.
FROM --platform=$BUILDPLATFORM docker.io/library/node:${NODE_VERSION}-bookworm AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/bundle.mjs ./scripts/
COPY src ./src
# The last image has no `env`, so that the command names its interpreter.
RUN npm run build && find dist -name '*.map' -delete \
  && sed -i '1s|^#!.*|#!/usr/bin/node|' dist/main.js && chmod 755 dist/main.js \
  && mkdir -p /rootfs/usr/local/bin && ln -s /app/dist/main.js /rootfs/usr/local/bin/otaflux
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/production-modules.sh ./scripts/
ARG TARGETARCH
RUN TARGETARCH=$TARGETARCH scripts/production-modules.sh && rm -r scripts package-lock.json .npmrc && mv /src/dist .

# Node itself, of the target platform, without symbols, npm and headers; of its libraries the one that distroless lacks.
FROM docker.io/library/node:${NODE_VERSION}-bookworm AS node
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN mkdir -p /rootfs/usr/bin /rootfs/usr/lib \
  && strip -o /rootfs/usr/bin/node /usr/local/bin/node \
  && ldd /usr/local/bin/node | awk '/libatomic/ { print $3 }' | xargs -r -I{} cp -L {} /rootfs/usr/lib/

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="OtaFlux" \
  org.opencontainers.image.description="Firmware for IoT devices over HTTP, straight from a container registry" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.source="https://github.com/otaflux/otaflux" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
COPY --from=node /rootfs /
COPY --from=build /rootfs /
COPY --from=build /app /app
# In a container the management port is reached from outside of it; METRICS_LISTEN_ADDR or its flag still decide.
ENV NODE_ENV=production LD_LIBRARY_PATH=/usr/lib METRICS_LISTEN_ADDR=0.0.0.0:9090
USER 65532:65532
WORKDIR /app
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/otaflux", "health"]
# The command becomes Node, which is process 1 and gets SIGTERM itself; nothing is written but to CACHE_DIR, STATE_DIR and a spool in /tmp.
ENTRYPOINT ["/usr/local/bin/otaflux"]
