import { describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { flagOf, gather, optionOf, parseSettings, VARIABLES, type Variable } from '../../src/config/index.js';
import { firmwareBytes } from '../support/bytes.js';
import {
  CHART,
  environment,
  find,
  lint,
  lintFile,
  manifests,
  podSpec,
  render,
  renderFile,
  ROOT,
  validate,
} from '../support/chart.js';
import { Cli, run } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith, freePort, itWith, runProgram } from '../support/real-server.js';

const FIXTURES = join(ROOT, 'test/fixtures/helm');
const valuesFile = (name: string): string => join(FIXTURES, `${name}.values.yaml`);
const NAMES = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.values.yaml'))
  .map((name) => name.replace('.values.yaml', ''));

/** What the server's container sees: its variables, its arguments, and the files of its volumes below `folder`. */
function podOf(text: string, folder: string): { env: Record<string, string>; args: string[] } {
  const all = manifests(text);
  const { containers, volumes } = podSpec(all);
  for (const { name, mountPath } of containers[0]?.volumeMounts ?? []) {
    const volume = volumes.find((candidate) => candidate.name === name);
    const source = volume?.secret
      ? find(all, 'Secret', volume.secret.secretName)
      : volume?.configMap && find(all, 'ConfigMap', volume.configMap.name);
    for (const [file, content] of Object.entries(source?.stringData ?? source?.data ?? {})) {
      const path = join(folder, mountPath, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
  }
  const env = Object.entries(environment(all)).map(([name, value]) => [
    name,
    value.replaceAll('/etc/otaflux', join(folder, '/etc/otaflux')),
  ]);
  return { env: Object.fromEntries(env) as Record<string, string>, args: containers[0]?.args ?? [] };
}

describeWith(['helm'], 'the chart', () => {
  it.each(NAMES)('has nothing to complain of in %s', (name) => {
    const text = lintFile(valuesFile(name));
    expect(text).toContain('0 chart(s) failed');
    expect(text).not.toMatch(/\[(?:INFO|WARNING|ERROR)\]/);
  });

  // UPDATE_GOLDEN=1 writes them; then read the difference.
  it.each(NAMES)('renders %s as it did', (name) => {
    const golden = join(FIXTURES, `${name}.golden.yaml`);
    const text = renderFile(valuesFile(name));
    if (process.env.UPDATE_GOLDEN || !existsSync(golden)) writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  it('keeps secrets in Secrets', () => {
    for (const name of NAMES) {
      for (const manifest of manifests(renderFile(valuesFile(name))).filter(({ kind }) => kind !== 'Secret')) {
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
    const all = manifests(renderFile(valuesFile('everything')));
    expect(podSpec(all).terminationGracePeriodSeconds).toBe(75);
  });

  it.each(['rust-flat', 'rust-nested', 'rust-null', 'minimal'])(
    'makes of %s what the server starts with, and serves',
    async (name) => {
      const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
      const registry = new FakeRegistry();
      await registry.start();
      registry.push('my-project/esp32', '1.2.3', firmwareBytes(1_000));
      registry.push('esp32', '1.2.3', firmwareBytes(1_000));
      const text = renderFile(valuesFile(name));
      const { env, args } = podOf(text, folder);
      // Of what the chart made, only where things are is another place: the registry, and the ports.
      expect(env.REGISTRY_URL).toMatch(/registry\.example\.com/);
      const management = `127.0.0.1:${await freePort()}`;
      const here = { REGISTRY_URL: registry.url, LISTEN_ADDR: '127.0.0.1:0', METRICS_LISTEN_ADDR: management };
      const server = new Cli(args, { ...env, ...here, LOG_LEVEL: 'info' });
      const port = await server.port();
      const answer = await fetch(`http://127.0.0.1:${port}/version?device=esp32`);
      // With a key, the unsigned release is not served.
      expect(answer.status).toBe(name === 'rust-flat' ? 404 : 200);
      // The command of `helm test`, with the address of the Service replaced.
      const test = find(manifests(text), 'Pod')?.spec as { containers: { args: string[] }[] } | undefined;
      const check = test?.containers[0]?.args.map((word) => (word.startsWith('http') ? `http://${management}` : word));
      expect(await run(check ?? [])).toMatchObject({ code: 0, stderr: '' });
      server.kill();
      expect((await server.finished).code).toBe(0);
      await registry.stop();
      rmSync(folder, { recursive: true });
    },
  );

  it('makes of production what the server starts with', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    const { otaflux } = parse(readFileSync(valuesFile('rust-flat'), 'utf8')) as { otaflux: { cosignPubKey: string } };
    const values = {
      'otaflux.production': true,
      'otaflux.cosignPubKey': otaflux.cosignPubKey,
      'otaflux.webhookSecret': 'a-long-webhook-secret',
      'otaflux.managementToken': 'a-long-management-token',
      'ingress.enabled': true,
    };
    const { env } = podOf(render(values), folder);
    const management = { METRICS_LISTEN_ADDR: `0.0.0.0:${await freePort()}` };
    const server = new Cli([], {
      ...env,
      ...management,
      LISTEN_ADDR: '127.0.0.1:0',
      REGISTRY_URL: 'http://127.0.0.1:9',
    });
    await server.event('server.ready');
    server.kill();
    expect((await server.finished).code).toBe(0);
    rmSync(folder, { recursive: true });
  });

  it('means by a Rust values file what the Rust chart meant', () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    const { env } = podOf(renderFile(valuesFile('rust-nested')), folder);
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
    expect(readFileSync(env.MQTT_CA_CERT_PATH!, 'utf8')).toMatch(/^-----BEGIN CERTIFICATE-----\n/);
    const flat = podOf(renderFile(valuesFile('rust-flat')), folder).env;
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
    const sample = (variable: Variable): unknown => {
      const { default: fallback, kind } = optionOf(variable);
      if (fallback) return fallback;
      const policy = [{ match: '*', required: false }];
      const samples = ['https://example.com', '1.2.3', '100', 'all', '30s', 'json', 'text', policy];
      return samples.find((value) => takes(kind, value));
    };
    // These have values of their own with a default.
    const own: Variable[] = ['REGISTRY_URL', 'LISTEN_ADDR', 'METRICS_LISTEN_ADDR', 'LOG_LEVEL', 'SHUTDOWN_GRACE'];
    const plain = VARIABLES.filter((variable) => !optionOf(variable).secret && !own.includes(variable));
    const config = Object.fromEntries(plain.map((variable) => [flagOf(variable), sample(variable)]));
    expect(Object.values(config)).not.toContain(undefined);
    const text = render({ 'otaflux.existingSecret': 'mine', 'otaflux.config': config });
    const { env } = podOf(text, folder);
    const given = await gather({ flags: {}, environment: env });
    expect(Object.keys(given).sort()).toEqual([...plain, ...own].sort());
    expect(() => parseSettings(given)).not.toThrow();
    // Secrets come as variables from a Secret of the user's.
    expect(text).toContain('name: mine');
    rmSync(folder, { recursive: true });
  });
});

function takes(kind: ReturnType<typeof optionOf>['kind'], value: unknown): boolean {
  try {
    kind.read(value);
    return true;
  } catch {
    return false;
  }
}

describe('what the chart renders', () => {
  /** The values in a page: its blocks of YAML, each a file of its own. */
  const blocksOf = (page: string): string[] =>
    [...readFileSync(join(ROOT, `docs/${page}.md`), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)].map(
      (match) => match[1] ?? '',
    );
  const tutorial = /^otaflux:\n(?: .*\n|[a-zA-Z]+:.*\n)*/m.exec(
    readFileSync(join(ROOT, 'docs/tutorial-kubernetes.md'), 'utf8'),
  );

  itWith(['helm', 'kubeconform'], 'of the values in the documentation, Kubernetes takes', async () => {
    const blocks = [...blocksOf('kubernetes'), tutorial?.[0] ?? ''];
    expect(blocks.length).toBeGreaterThan(3);
    for (const block of blocks) {
      const values = parse(block) as Record<string, unknown>;
      validate(render(values));
      expect(lint(values)).not.toMatch(/\[(?:INFO|WARNING|ERROR)\]/);
    }
    await Promise.resolve();
  });

  itWith(['helm', 'kubeconform'], 'is what Kubernetes, the Prometheus operator and the Gateway API take', async () => {
    for (const name of NAMES) validate(renderFile(valuesFile(name)));
    await Promise.resolve();
  });

  itWith(['promtool'], 'has alerts that Prometheus takes, and that fire when they should', async () => {
    expect(runProgram('promtool', ['check', 'rules', join(CHART, 'files/alerts.yaml')])).toContain(
      'SUCCESS: 10 rules found',
    );
    runProgram('promtool', ['test', 'rules', join(FIXTURES, 'alerts.test.yaml')]);
    await Promise.resolve();
  });
});
