import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import { runProgram } from './real-server.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const CHART = join(ROOT, 'helm/otaflux');
const SCHEMAS = join(ROOT, 'test/fixtures/kubernetes-schemas/{{.ResourceKind}}{{.KindSuffix}}.json');

/** A Kubernetes object, as far as tests look into it. */
export interface Manifest {
  kind: string;
  metadata: { name: string; namespace: string; labels: Record<string, string>; annotations?: Record<string, string> };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  spec: Record<string, unknown> & { template: { spec: PodSpec } };
}

export interface PodSpec {
  terminationGracePeriodSeconds: number;
  volumes: { name: string; secret?: { secretName: string }; configMap?: { name: string } }[];
  containers: Container[];
  [key: string]: unknown;
}

export interface Container {
  name: string;
  image: string;
  args?: string[];
  env: { name: string; value: string }[];
  envFrom: { secretRef?: { name: string } }[];
  volumeMounts: { name: string; mountPath: string }[];
}

/** Values with dotted keys, `{ 'otaflux.mqtt.topic': 'x' }`, as a values file has them. */
function nested(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(values)) {
    const keys = path.split('.');
    let at = result;
    for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[keys.at(-1) ?? ''] = value;
  }
  return result;
}

/** The registry URL in values, wherever it stands. */
function urlIn(values: Readonly<Record<string, unknown>>): unknown {
  const { otaflux } = nested({ 'otaflux.registry.url': undefined, ...values }) as {
    otaflux: { registry?: { url?: unknown } };
  };
  return otaflux.registry?.url;
}

interface Options {
  readonly chart?: string;
  readonly kubernetes?: string;
}

/** The text that `helm template` makes of a values file; throws with what helm says when it refuses. */
export function renderFile(file: string, { chart = CHART, kubernetes = '1.34.0' }: Options = {}): string {
  return runProgram('helm', ['template', 'rel', chart, '--kube-version', kubernetes, '-f', file]);
}

/** The same of values with dotted keys, beside the registry URL that the chart requires. */
export function render(values: Readonly<Record<string, unknown>>, options?: Options): string {
  return withFile('values.yaml', whole(values), (file) => renderFile(file, options));
}

/** What `helm lint` says of a values file; throws when it fails. */
export function lintFile(file: string): string {
  return runProgram('helm', ['lint', '--strict', '--kube-version', '1.34.0', CHART, '-f', file]);
}

/** The same of values with dotted keys. */
export function lint(values: Readonly<Record<string, unknown>>): string {
  return withFile('values.yaml', whole(values), lintFile);
}

function whole(values: Readonly<Record<string, unknown>>): string {
  return stringify(nested({ ...values, 'otaflux.registry.url': urlIn(values) ?? 'https://r.example.com' }));
}

export function manifests(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

/** The only object of `kind`, whose name ends by `suffix`; undefined when there is none. */
export function find(all: readonly Manifest[], kind: string, suffix = ''): Manifest | undefined {
  const found = all.filter((manifest) => manifest.kind === kind && manifest.metadata.name.endsWith(suffix));
  if (found.length > 1) throw new Error(`${found.length} objects of kind ${kind}`);
  return found[0];
}

/** The pod of the Deployment or StatefulSet. */
export function podSpec(all: readonly Manifest[]): PodSpec {
  const workload = find(all, 'Deployment') ?? find(all, 'StatefulSet');
  if (!workload) throw new Error('no Deployment and no StatefulSet');
  return workload.spec.template.spec;
}

/** The variables of the server's container, those of its own Secret among them. */
export function environment(all: readonly Manifest[]): Record<string, string> {
  const [container] = podSpec(all).containers;
  const secrets = (container?.envFrom ?? []).map(({ secretRef }) =>
    all.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === secretRef?.name),
  );
  return Object.assign(
    {},
    ...secrets.map((secret) => secret?.stringData),
    Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value])),
  ) as Record<string, string>;
}

/** Throws when Kubernetes, the Prometheus operator or the Gateway API would refuse an object of `text`. */
export function validate(text: string): void {
  withFile('manifests.yaml', text, (file) => runProgram('kubeconform', ['-strict', '-schema-location', SCHEMAS, file]));
}

/** What `helm install` prints for `values`; rendered within an object, because an installation needs a cluster. */
export function notes(values: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-notes-'));
  const chart = join(folder, 'otaflux');
  const text = '{{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}';
  cpSync(CHART, chart, { recursive: true });
  writeFileSync(
    join(chart, 'templates/notes.yaml'),
    `kind: Notes\nmetadata: { name: notes }\ndata: { text: ${text} }\n`,
  );
  const all = manifests(render(values, { chart }));
  rmSync(folder, { recursive: true });
  return find(all, 'Notes')?.data?.text ?? '';
}

export function withFile<T>(name: string, content: string, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
  try {
    writeFileSync(join(folder, name), content);
    return use(join(folder, name));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
