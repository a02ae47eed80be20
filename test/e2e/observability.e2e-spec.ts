import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Notifier } from '../../src/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { expectStop } from '../support/leftovers.js';
import { freePort, itWith } from '../support/real-server.js';
import { newKey, signBundle } from '../support/sign.js';
import { TestService, until } from '../support/service.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Dashboard {
  panels: { title: string; targets: { expr: string }[] }[];
}
const dashboard = JSON.parse(readFileSync(join(ROOT, 'config/grafana/otaflux.json'), 'utf8')) as Dashboard;
const alerts = readFileSync(join(ROOT, 'helm/otaflux/files/alerts.yaml'), 'utf8');
const page = readFileSync(join(ROOT, 'docs/observability.md'), 'utf8');

class OwnNotifier extends Notifier {
  override readonly name = 'own';
  override publish(): Promise<void> {
    return Promise.resolve();
  }
}

describe('metrics', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    const key = newKey();
    signBundle(registry, 'esp32', registry.push('esp32', '1.0.0', firmwareBytes(1_000)), key);
    service = await TestService.start(
      { REGISTRY_URL: registry.url, COSIGN_PUB_KEY: key.pem, REFRESH_INTERVAL: '100ms' },
      { notifiers: [OwnNotifier] },
    );
    await traffic();
  });
  afterAll(async () => {
    await service.stop();
    await registry.stop();
  });

  const traffic = async (): Promise<void> => {
    await service.version('esp32');
    await service.firmware('esp32');
    await service.version('nobody');
    await service.api.post('/webhooks/generic').send({ repository: 'esp32' }).expect(200);
  };

  it('count a blob when it has come, and one that fails by its error', async () => {
    registry.push('sensor', '1.0.0', firmwareBytes(2_000));
    registry.fault = (_request, response, kind) => {
      if (kind === 'blob') response.writeHead(404).end();
      return kind === 'blob';
    };
    const own = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0' });
    const counted = async (): Promise<string[]> =>
      [
        ...(await own.metrics()).matchAll(/^otaflux_registry_requests_total\{operation="blob",result="(\w+)"\} 1$/gm),
      ].map((match) => match[1] ?? '');
    expect((await own.version('sensor')).status).toBe(502);
    expect(await counted()).toEqual(['absent']);
    registry.fault = () => false;
    await until(async () => (await own.version('sensor')).status === 200, 'the registry to be asked again');
    await until(async () => (await counted()).length === 2, 'the blob to be counted');
    expect(await counted()).toEqual(['absent', 'ok']);
    await own.stop();
  });

  it('are all in docs/observability.md, with their types and words, and nothing else is', async () => {
    const text = await service.metrics();
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => [match[1]!, match[2]!]));
    const helps = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)]
      .map((match) => ({ name: match[1]!, help: match[2]! }))
      .filter(({ name }) => !/^(process|nodejs)_/.test(name));
    const rows = [...page.matchAll(/^\| `([a-z_]+)` +\| (\w+) +\| ([^|]*) +\| (.*?) +\|$/gm)].map(
      ([, name, type, , help]) => ({ name, type, help }),
    );
    const told = helps.map(({ name, help }) => ({ name, type: types.get(name), help }));
    const byName = (a: { name: string | undefined }, b: { name: string | undefined }): number =>
      (a.name ?? '').localeCompare(b.name ?? '');
    expect(rows.sort(byName)).toEqual(told.sort(byName));
  });

  it('have the labels that the page names', async () => {
    const text = await service.metrics();
    for (const [, name = '', labels = ''] of page.matchAll(/^\| `([a-z_]+)` +\| \w+ +\| ([^|]+?) +\| /gm)) {
      const sample = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, 'm').exec(text)?.[1];
      if (sample === undefined) continue;
      const seen = [...sample.matchAll(/(\w+)=/g)].map((match) => match[1]).filter((label) => label !== 'le');
      expect({ name, labels: seen.sort() }).toEqual({ name, labels: labels.split(', ').sort() });
    }
  });

  it('are what the dashboard and the alerts ask for', async () => {
    const text = await service.metrics();
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!));
    const asked = [
      ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...alerts.split('\n').filter((line) => !line.includes('alert:')),
    ]
      .flatMap((expr) => expr.match(/\b(?:otaflux|firmware|http|process|nodejs)_[a-z0-9_]+/g) ?? [])
      .map((name) => (known.has(name) ? name : name.replace(/_bucket$/, '')));
    expect(asked.length).toBeGreaterThan(25);
    expect([...new Set(asked)].filter((name) => !known.has(name))).toEqual([]);
  });

  itWith(['prometheus'], 'answer every query of the dashboard, in a real Prometheus', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-prometheus-'));
    const port = await freePort();
    const target = service.managementUrl.replace('http://', '');
    writeFileSync(
      join(folder, 'prometheus.yml'),
      `global: { scrape_interval: 500ms }\nrule_files: [${join(ROOT, 'helm/otaflux/files/alerts.yaml')}]\nscrape_configs:\n  - { job_name: otaflux, static_configs: [{ targets: ['${target}'] }] }\n`,
    );
    const child = spawn(
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: 'ignore' },
    );
    expectStop(child, () => child.kill('SIGKILL'));
    const query = async (expr: string): Promise<{ status: string; data: { result: unknown[] } }> => {
      const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expr)}`;
      return (await (await fetch(url)).json()) as { status: string; data: { result: unknown[] } };
    };
    await until(
      async () => {
        await traffic();
        return query('count_over_time(otaflux_stale_releases[1m]) >= 4').then(
          ({ data }) => data.result.length > 0,
          () => false,
        );
      },
      'a few scrapes',
      30_000,
    );
    const empty: string[] = [];
    for (const { title, targets } of dashboard.panels) {
      for (const { expr } of targets) {
        const filled = expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.*');
        const { status, data } = await query(filled);
        expect({ title, status }).toEqual({ title, status: 'success' });
        if (data.result.length === 0) empty.push(title);
      }
    }
    // Nobody was refused, so there is no series of it.
    expect([...new Set(empty)]).toEqual(['Refused devices']);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  });
});
