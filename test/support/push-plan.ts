import { MANIFEST, sha256, type FakeRegistry } from './fake-registry.js';

const EMPTY = Buffer.from('{}');
export const PLAN_TYPE = 'application/vnd.otaflux.plan.v1';

export interface PlanPush {
  artifactType?: string | undefined;
  layerType?: string;
  /** Default: one. */
  layers?: number;
  tag?: string;
  annotations?: Record<string, string>;
}

/** Pushes a plan as oras does, and returns the digest of its manifest. */
export function pushPlan(registry: FakeRegistry, name: string, yaml: string | Buffer, options: PlanPush = {}): string {
  const bytes = Buffer.from(yaml);
  const artifactType = 'artifactType' in options ? options.artifactType : PLAN_TYPE;
  const layer = {
    mediaType: options.layerType ?? `${PLAN_TYPE}+yaml`,
    digest: registry.putBlob(name, bytes),
    size: bytes.length,
    annotations: { 'org.opencontainers.image.title': 'plan.yaml' },
  };
  registry.putBlob(name, EMPTY);
  return registry.putManifest(name, options.tag ?? 'otaflux-plan', {
    schemaVersion: 2,
    mediaType: MANIFEST,
    ...(artifactType !== undefined && { artifactType }),
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(EMPTY), size: EMPTY.length },
    layers: Array.from({ length: options.layers ?? 1 }, () => layer),
    ...(options.annotations && { annotations: options.annotations }),
  });
}
