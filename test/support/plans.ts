import { PLAN_ARTIFACT_TYPE, PLAN_MEDIA_TYPE, PLAN_TAG, shareOf } from '../../src/plan/index.js';
import { MANIFEST, sha256, type FakeRegistry } from './fake-registry.js';

const EMPTY = Buffer.from('{}');

/** Pushes a plan as `otaflux plan push` does, and returns the digest of its manifest. */
export function pushPlan(registry: FakeRegistry, product: string, text: string): string {
  registry.putBlob(product, EMPTY);
  const bytes = Buffer.from(text);
  return registry.putManifest(product, PLAN_TAG, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: PLAN_ARTIFACT_TYPE,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(EMPTY), size: EMPTY.length },
    layers: [{ mediaType: PLAN_MEDIA_TYPE, digest: registry.putBlob(product, bytes), size: bytes.length }],
  });
}

/** Returns names of units that stand between `from` and `to` percent of the rollouts of a version. */
export function unitsBetween(
  product: string,
  version: string,
  from: number,
  to: number,
  count = 1,
  prefix = 'unit-',
): string[] {
  const units: string[] = [];
  for (let i = 0; units.length < count; i++) {
    const unit = `${prefix}${i}`;
    const share = shareOf(product, version, unit);
    if (share >= from && share < to) units.push(unit);
  }
  return units;
}
