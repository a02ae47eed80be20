import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import { flagOf, gather, optionOf, parseSettings, VARIABLES } from '../../src/config/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith, itWith, runProgram } from '../support/real-server.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CHART = join(ROOT, 'helm/otaflux');
const FIXTURES = join(ROOT, 'test/fixtures/helm');
const values = (name: string): string => join(FIXTURES, `${name}.values.yaml`);
const SCHEMAS = join(ROOT, 'test/fixtures/kubernetes-schemas/{{.ResourceKind}}{{.KindSuffix}}.json');
const NAMES = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.values.yaml'))
  .map((name) => name.replace('.values.yaml', ''));

interface Manifest {
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  spec: { template: { spec: PodSpec } };
}

interface PodSpec {
  terminationGracePeriodSeconds: number;
  volumes: { name: string; secret?: { secretName: string }; configMap?: { name: string } }[];
  containers: {
    args?: string[];
    env: { name: string; value: string }[];
    envFrom: { secretRef?: { name: string } }[];
    volumeMounts: { name: string; mountPath: string }[];
  }[];
}

function render(file: string, ...flags: string[]): string {
  return runProgram('helm', ['template', 'rel', CHART, '--kube-version', '1.34.0', '-f', file, ...flags]);
}

const manifests = (text: string): Manifest[] => parseAllDocuments(text).map((document) => document.toJS() as Manifest);

/** What a container of the rendered chart sees: its variables and files, below a folder. */
function podOf(text: string, folder: string): { env: Record<string, string>; args: string[] } {
  const all = manifests(text);
  const find = (kind: string, name?: string): Manifest | undefined =>
    all.find((manifest) => manifest.kind === kind && (name === undefined || manifest.metadata.name === name));
  const { containers, volumes } = find('Deployment')!.spec.template.spec;
  const [container] = containers;
  const env = Object.fromEntries(container!.env.map(({ name, value }) => [name, value]));
  for (const { secretRef } of container!.envFrom) Object.assign(env, find('Secret', secretRef?.name)?.stringData ?? {});
  for (const { name, mountPath } of container!.volumeMounts) {
    const volume = volumes.find((candidate) => candidate.name === name);
    const source = volume?.secret
      ? find('Secret', volume.secret.secretName)
      : find('ConfigMap', volume?.configMap?.name);
    if (!volume?.secret && !volume?.configMap) continue;
    for (const [file, content] of Object.entries(source?.stringData ?? source?.data ?? {})) {
      const path = join(folder, mountPath, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
  }
  for (const [name, value] of Object.entries(env))
    env[name] = value.replaceAll('/etc/otaflux', join(folder, '/etc/otaflux'));
  return { env, args: container!.args ?? [] };
}

describeWith(['helm'], 'the chart', () => {
  it('has nothing to complain of', () => {
    expect(runProgram('helm', ['lint', '--strict', CHART, '-f', values('minimal')])).toContain('0 chart(s) failed');
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))).toMatchObject({ appVersion: version });
  });

  // UPDATE_GOLDEN=1 writes them; then read the difference.
  it.each(NAMES)('renders %s as it did', (name) => {
    const golden = join(FIXTURES, `${name}.golden.yaml`);
    const text = render(values(name));
    if (process.env.UPDATE_GOLDEN || !existsSync(golden)) writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  it.each([
    ['{}', 'otaflux.registry.url is missing'],
    ['otaflux: { registry: { ulr: x } }', /ulr/],
    ['otaflux: { registry: { url: x }, logLevel: loud }', /logLevel/],
    ['replicas: 2', /replicas/],
  ])('refuses %s', (text, message) => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    writeFileSync(join(folder, 'values.yaml'), text);
    expect(() => render(join(folder, 'values.yaml'))).toThrow(message);
    rmSync(folder, { recursive: true });
  });

  it('keeps secrets in Secrets', () => {
    for (const name of NAMES) {
      for (const manifest of manifests(render(values(name))).filter(({ kind }) => kind !== 'Secret')) {
        const text = JSON.stringify(manifest);
        for (const secret of ['s3cret', 'PRIVATE KEY', 'hooks.example.com', '"password"', '12345'])
          expect({ kind: manifest.kind, holds: text.includes(secret) && secret }).toEqual({
            kind: manifest.kind,
            holds: false,
          });
      }
    }
  });

  it('gives a pod longer than the server takes to end', () => {
    const [deployment] = manifests(render(values('everything'))).filter(({ kind }) => kind === 'Deployment');
    expect(deployment?.spec.template.spec.terminationGracePeriodSeconds).toBe(75);
  });

  it('says in its notes what to type', () => {
    const { stdout } = spawnSync('helm', ['install', 'rel', CHART, '--dry-run=client', '-f', values('minimal')], {
      encoding: 'utf8',
    });
    if (stdout) expect(stdout).toContain("curl 'http://localhost:8080/version?device=DEVICE'");
  });

  it.each(['rust-flat', 'rust-nested', 'rust-null', 'minimal'])(
    'makes of %s what the server starts with, and serves',
    async (name) => {
      const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
      const registry = new FakeRegistry();
      await registry.start();
      registry.push('my-project/esp32', '1.2.3', firmwareBytes(1_000));
      registry.push('esp32', '1.2.3', firmwareBytes(1_000));
      const { env, args } = podOf(render(values(name)), folder);
      // Of what the chart made, only where things are is another place: the registry, and the ports.
      expect(env.REGISTRY_URL).toMatch(/registry\.example\.com/);
      const here = { REGISTRY_URL: registry.url, LISTEN_ADDR: '127.0.0.1:0', METRICS_LISTEN_ADDR: '127.0.0.1:0' };
      const server = new Cli(args, { ...env, ...here, LOG_LEVEL: 'info' });
      const port = await server.port();
      const answer = await fetch(`http://127.0.0.1:${port}/version?device=esp32`);
      // With a key, the unsigned release is not served.
      expect(answer.status).toBe(name === 'rust-flat' ? 404 : 200);
      server.kill();
      expect((await server.finished).code).toBe(0);
      await registry.stop();
      rmSync(folder, { recursive: true });
    },
  );

  it('means by a Rust values file what the Rust chart meant', () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    const { env } = podOf(render(values('rust-nested')), folder);
    expect(env).toMatchObject({
      REGISTRY_URL: 'my-registry.example.com:443',
      REGISTRY_USERNAME: 'username',
      REGISTRY_PASSWORD: '12345',
      REGISTRY_INSECURE: 'true',
      REPOSITORY_PREFIX: 'my-project/',
      LISTEN_ADDR: '0.0.0.0:8081',
      METRICS_LISTEN_ADDR: '0.0.0.0:9091',
      LOG_LEVEL: 'debug',
      MQTT_URL: 'mqtts://mqtt-broker:8883?client_id=otaflux',
      MQTT_USERNAME: 'robot',
      MQTT_PASSWORD: 'secret',
      MQTT_TOPIC: 'firmware/updates',
    });
    expect(readFileSync(env.MQTT_CLIENT_KEY_PATH!, 'utf8')).toContain('PRIVATE KEY');
    expect(readFileSync(env.MQTT_CA_CERT_PATH!, 'utf8')).toContain('ca\n');
    const flat = podOf(render(values('rust-flat')), folder).env;
    expect(flat).toMatchObject({
      REGISTRY_USERNAME: 'username',
      REGISTRY_PASSWORD: 'password',
      REPOSITORY_PREFIX: 'my-project/',
    });
    expect(readFileSync(flat.COSIGN_PUB_KEY_PATH!, 'utf8')).toContain('BEGIN PUBLIC KEY');
    rmSync(folder, { recursive: true });
  });

  it('can set every option', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    const sample = (variable: (typeof VARIABLES)[number]): unknown => {
      const { default: fallback, kind } = optionOf(variable);
      if (fallback) return fallback;
      return [
        `https://example.com`,
        '1.2.3',
        '100',
        'all',
        '30s',
        'json',
        'text',
        [{ match: '*', required: false }],
      ].find((value) => kind.schema.safeParse(value).success);
    };
    const plain = VARIABLES.filter((variable) => !optionOf(variable).secret && variable !== 'REGISTRY_URL');
    const config = Object.fromEntries(plain.map((variable) => [flagOf(variable), sample(variable)]));
    expect(Object.values(config)).not.toContain(undefined);
    const file = join(folder, 'values.yaml');
    writeFileSync(
      file,
      JSON.stringify({ otaflux: { registry: { url: 'https://x.example.com' }, existingSecret: 'mine', config } }),
    );
    const { env } = podOf(render(file), folder);
    const given = await gather({ flags: {}, environment: { CONFIG: env.CONFIG } });
    expect(Object.keys(given).sort()).toEqual([...plain].sort());
    expect(() => parseSettings({ ...given, REGISTRY_URL: { value: env.REGISTRY_URL, where: 'here' } })).not.toThrow();
    // Secrets come as variables from a Secret of one's own.
    expect(render(file)).toContain('name: mine');
    rmSync(folder, { recursive: true });
  });
});

describe('what the chart renders', () => {
  itWith(['helm', 'kubeconform'], 'of the values in the documentation, Kubernetes takes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    const pages = ['kubernetes', 'tutorial-kubernetes']
      .map((page) => readFileSync(join(ROOT, `docs/${page}.md`), 'utf8'))
      .join('\n');
    const blocks = [...pages.matchAll(/^otaflux:\n(?: .*\n|[a-zA-Z]+:.*\n)*/gm)].map(([text]) => text);
    expect(blocks).toHaveLength(2);
    for (const block of blocks) {
      writeFileSync(join(folder, 'values.yaml'), block);
      writeFileSync(join(folder, 'manifests.yaml'), render(join(folder, 'values.yaml')));
      runProgram('kubeconform', ['-strict', '-schema-location', SCHEMAS, join(folder, 'manifests.yaml')]);
    }
    rmSync(folder, { recursive: true });
    await Promise.resolve();
  });

  itWith(['helm', 'kubeconform'], 'is what Kubernetes, the Prometheus operator and the Gateway API take', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    for (const name of NAMES) {
      writeFileSync(join(folder, `${name}.yaml`), render(values(name)));
      runProgram('kubeconform', ['-strict', '-schema-location', SCHEMAS, join(folder, `${name}.yaml`)]);
    }
    rmSync(folder, { recursive: true });
    await Promise.resolve();
  });

  itWith(['promtool'], 'has alerts that Prometheus takes, and that fire when they should', async () => {
    expect(runProgram('promtool', ['check', 'rules', join(CHART, 'files/alerts.yaml')])).toContain(
      'SUCCESS: 7 rules found',
    );
    runProgram('promtool', ['test', 'rules', join(FIXTURES, 'alerts.test.yaml')]);
    await Promise.resolve();
  });
});
