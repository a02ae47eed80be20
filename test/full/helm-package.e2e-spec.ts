import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { list } from 'tar';
import { parse } from 'yaml';
import { CHART, find, manifests, render, ROOT, validate } from '../support/chart.js';
import { itWith, runProgram } from '../support/real-server.js';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Chart {
  readonly version: string;
  readonly appVersion: string;
  readonly icon: string;
  readonly annotations: Record<string, string>;
}

const chart = parse(read('helm/otaflux/Chart.yaml')) as Chart;
const repository = 'https://github.com/otaflux/otaflux';

describe('the chart as it is published', () => {
  it('has the version of the server', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(chart).toMatchObject({ version, appVersion: version });
  });

  it('has an icon in the repository', () => {
    expect(chart.icon.startsWith(`${repository}/raw/main/`)).toBe(true);
    expect(read(chart.icon.replace(`${repository}/raw/main/`, ''))).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  it('tells Artifact Hub what it is', () => {
    const annotation = (name: string): unknown => parse(chart.annotations[`artifacthub.io/${name}`] ?? '');
    expect(annotation('category')).toBe('integration-delivery');
    expect(annotation('license')).toBe('MIT');
    expect(annotation('images')).toMatchObject([{ image: `ghcr.io/otaflux/otaflux:${chart.appVersion}` }]);
    const links = annotation('links') as { name: string; url: string }[];
    for (const { url } of links.filter((link) => link.url.includes('/blob/main/')))
      expect(read(url.replace(`${repository}/blob/main/`, ''))).toBeTruthy();
    const kinds = ['added', 'changed', 'deprecated', 'removed', 'fixed', 'security'];
    for (const change of annotation('changes') as { kind: string; description: string }[]) {
      expect(kinds).toContain(change.kind);
      expect(change.description).toMatch(/^\S.*\S$/);
    }
  });

  it('documents every value', () => {
    const readme = read('helm/otaflux/README.md');
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && !readme.includes(`| \`${path}\` |`)
        ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, path ? `${path}.${key}` : key))
        : [path];
    const paths = leaves(parse(read('helm/otaflux/values.yaml')), '');
    expect(paths.length).toBeGreaterThan(100);
    expect(paths.filter((path) => !readme.includes(`| \`${path}\` |`))).toEqual([]);
  });

  itWith(['helm'], 'holds all that it needs, and nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    runProgram('helm', ['package', CHART, '--destination', folder]);
    const files: string[] = [];
    await list({
      file: join(folder, `otaflux-${chart.version}.tgz`),
      onReadEntry: ({ path }) => files.push(path.replace('otaflux/', '')),
    });
    rmSync(folder, { recursive: true });
    expect(files.filter((path) => !path.startsWith('templates/')).sort()).toEqual(
      [
        '.helmignore',
        'Chart.yaml',
        'README.md',
        'files/alerts.yaml',
        'files/checks.json',
        'files/dashboard.json',
        'values.schema.json',
        'values.yaml',
      ].sort(),
    );
  });
});

describe('the dashboard', () => {
  it('is the same in config/grafana and in the chart', () => {
    expect(read('helm/otaflux/files/dashboard.json')).toBe(read('config/grafana/otaflux.json'));
  });

  itWith(['helm', 'kubeconform'], 'goes to the side-car of Grafana', async () => {
    const text = render({ 'metrics.dashboard.enabled': true, 'metrics.dashboard.namespace': 'monitoring' });
    validate(text);
    const map = find(manifests(text), 'ConfigMap', '-dashboard');
    expect(map?.metadata).toMatchObject({ namespace: 'monitoring', labels: { grafana_dashboard: '1' } });
    expect(JSON.parse(map?.data?.['otaflux.json'] ?? '')).toEqual(JSON.parse(read('config/grafana/otaflux.json')));
    await Promise.resolve();
  });
});
