/** Writes a plan into an OCI image layout, as `otaflux plan push` does. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The longest way through a plan: rules, a rollout with all of its conditions, and a channel of a range. */
const PLAN = `
serial: 1
channels:
  stable: { versions: ">=1.0.0 <3.0.0" }
  beta: { versions: ">=1.0.0", prereleases: true }
default: stable
units:
  - { match: "lab-*", channel: beta }
  - { match: "24:6f:28:aa:bb:cc", version: 1.0.0 }
  - { where: { hardware: "rev-a" }, channel: beta }
rollouts:
  - version: 2.0.0
    from: ">=0.1.0"
    starts: ${new Date(Date.now() - 2 * 86_400_000).toISOString()}
    stages:
      - { percent: 1, for: 1d }
      - { percent: 99.9, for: 300d }
    halt: { failed: 5%, least: 20 }
    rate: 999999999/s
    window: { from: "00:00", to: "23:59", zone: Europe/Berlin }
`;

export function pushPlan(layout) {
  const empty = put(layout, Buffer.from('{}'));
  const plan = put(layout, Buffer.from(PLAN));
  const type = 'application/vnd.otaflux.plan.v1';
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    artifactType: type,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', ...empty },
    layers: [{ mediaType: `${type}+yaml`, ...plan }],
  };
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
  index.manifests.push({
    mediaType: manifest.mediaType,
    ...put(layout, Buffer.from(JSON.stringify(manifest))),
    annotations: { 'org.opencontainers.image.ref.name': 'otaflux-plan' },
  });
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
}

function put(layout, bytes) {
  const hex = createHash('sha256').update(bytes).digest('hex');
  mkdirSync(join(layout, 'blobs', 'sha256'), { recursive: true });
  writeFileSync(join(layout, 'blobs', 'sha256', hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}
