import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { runProgram } from '../support/real-server.js';

// The nodes must have the image of the chart's appVersion: CONTRIBUTING.md has how.
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CHART = join(ROOT, 'helm/otaflux');
const { appVersion } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as { appVersion: string };
const IMAGE = `ghcr.io/otaflux/otaflux:${appVersion}`;

const kubectl = (...args: string[]): string => runProgram('kubectl', args);

/** Runs a script in a folder of its own as one shell; resolves with its status and all that it printed. */
function shell(script: string): Promise<{ status: number | null; output: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-cluster-'));
  cpSync(join(ROOT, 'config'), join(folder, 'config'), { recursive: true });
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', `set -euo pipefail; exec 2>&1; trap 'kill $(jobs -p)' EXIT\n${script}`], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('close', (status) => {
      rmSync(folder, { recursive: true });
      resolve({ status, output });
    });
  });
}

describe('the tutorial', () => {
  const page = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8');
  const blocks = [...page.matchAll(/<!-- runs in the cluster test -->\n+```sh\n([\s\S]*?)```/g)].map(
    (match) => match[1] ?? '',
  );

  it('leads to a signed update, and its commands print what it says', async () => {
    expect(blocks.length).toBeGreaterThan(10);
    const script = blocks.join('\n').replaceAll('oci://ghcr.io/otaflux/charts/otaflux', CHART);
    const { status, output } = await shell(script);
    const promised = [...script.matchAll(/^# (.*)$/gm)].map((match) => match[1] ?? '');
    expect(promised.length).toBeGreaterThan(1);
    for (const line of promised) expect(output).toContain(line);
    expect({ status, output: status === 0 ? '' : output }).toEqual({ status: 0, output: '' });
  });
});

describe('a rolling update', () => {
  const NAMESPACE = `otaflux-rollout-${process.pid}`;
  const inNamespace = (...args: string[]): string => kubectl('--namespace', NAMESPACE, ...args);

  beforeAll(() => {
    kubectl('create', 'namespace', NAMESPACE);
    inNamespace('create', 'secret', 'generic', 'otaflux', '--from-literal', 'WEBHOOK_SECRET=only-for-a-test');
    inNamespace('apply', '-f', join(ROOT, 'config/kubernetes/registry.yaml'));
    inNamespace('wait', '--for=condition=Available', 'deployment/registry', '--timeout=120s');
    const values = ['--set', 'otaflux.registry.url=http://registry:5000', '--set', 'replicaCount=2'];
    runProgram('helm', ['install', 'ota', CHART, '--namespace', NAMESPACE, ...values, '--wait']);
  });
  afterAll(() => {
    kubectl('delete', 'namespace', NAMESPACE, '--wait=false');
  });

  /** Runs `script` in a pod of our own image, which has Node; resolves with what it printed. */
  const inPod = async (name: string, script: string): Promise<string> => {
    inNamespace('run', name, '--image', IMAGE, '--restart=Never', '--command', '--', 'node', '-e', script);
    const child = spawn(
      'kubectl',
      ['--namespace', NAMESPACE, 'wait', `pod/${name}`, '--timeout=200s'].concat(
        '--for=jsonpath={.status.phase}=Succeeded',
      ),
    );
    await new Promise((resolve) => child.once('close', resolve));
    return inNamespace('logs', name);
  };

  it('fails no request, and ends no download', async () => {
    await inPod(
      'push',
      `require('fs').writeFileSync('/tmp/firmware.bin', Buffer.alloc(8_000_000, 'x'));
       require('child_process').execFileSync('node', ['dist/main.js', 'push', 'esp32', '1.0.0', '/tmp/firmware.bin',
         '--registry-url', 'http://registry:5000'], { stdio: 'inherit' });`,
    );
    // A device now and then: many connections from one address would be sent to ended pods by conntrack, which remembers ports.
    const devices = inPod(
      'devices',
      `const http = require('http');
       const results = {};
       const get = (path, onAnswer) => new Promise((resolve) => {
 const startedAt = Date.now();
         const request = http.get({ host: 'ota-otaflux', path, agent: false, timeout: 20_000 }, (response) => onAnswer(response, resolve));
         request.on('timeout', () => request.destroy(new Error('timeout ' + path + ' after ' + (Date.now() - startedAt) + ' ' + (request.bytes ?? ''))));
         request.on('error', (error) => resolve(error.code ?? error.message));
       });
       const ask = () => get('/version?device=esp32', (response, resolve) => response.resume().on('end', () => resolve(response.statusCode)));
       // 8 MB in 40 steps of half a second: longer than two rollouts.
       const download = () => get('/firmware?device=esp32', (response, resolve) => {
         let bytes = 0;
         response.on('error', (error) => resolve(error.code ?? error.message)).on('end', () => resolve(bytes === 8_000_000 ? 'downloaded' : 'cut at ' + bytes));
         response.on('data', (chunk) => {
           const before = bytes;
           bytes += chunk.length; response.req.bytes = bytes;
           if (Math.floor(before / 200_000) !== Math.floor(bytes / 200_000)) { response.pause(); setTimeout(() => response.resume(), 500); }
         });
       });
       const count = (result) => { results[result] = (results[result] ?? 0) + 1; };
       const endsAt = Date.now() + 45_000;
       Promise.all([
         ...Array.from({ length: 4 }, async () => {
           while (Date.now() < endsAt) { count(await ask()); await new Promise((resolve) => setTimeout(resolve, 100)); }
         }),
         ...Array.from({ length: 4 }, async () => count(await download())),
       ]).then(() => console.log(JSON.stringify(results)));`,
    );
    inNamespace('wait', 'pod/devices', '--for=condition=Ready', '--timeout=30s');
    for (let turn = 0; turn < 3; turn++) {
      inNamespace('rollout', 'restart', 'deployment/ota-otaflux');
      inNamespace('rollout', 'status', 'deployment/ota-otaflux', '--timeout=60s');
    }
    const { 200: answered, ...others } = JSON.parse(await devices) as Record<string, number>;
    expect(answered).toBeGreaterThan(500);
    expect(others).toEqual({ downloaded: 4 });
  });
});

describe('every values file of the tests', () => {
  const FIXTURES = join(ROOT, 'test/fixtures/helm');
  const NAMESPACE = `otaflux-admission-${process.pid}`;
  const files = readdirSync(FIXTURES).filter((name) => name.endsWith('.values.yaml'));

  beforeAll(() => {
    kubectl('create', 'namespace', NAMESPACE);
    kubectl('label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/warn=restricted');
  });
  afterAll(() => {
    kubectl('delete', 'namespace', NAMESPACE, '--wait=false');
  });

  it.each(files)('%s: the API server takes it all, and has no warning', (name) => {
    const kubernetes = (JSON.parse(kubectl('version', '--output=json')) as { serverVersion: { gitVersion: string } })
      .serverVersion.gitVersion;
    const flags = ['--namespace', NAMESPACE, '--kube-version', kubernetes, '-f', join(FIXTURES, name)];
    const text = runProgram('helm', ['template', 'ota', CHART, ...flags]);
    const known = kubectl('api-resources', '--output=name');
    const own = text
      .split(/^---$/m)
      .filter(
        (manifest) => known.includes('servicemonitors') || !/^kind: (?:ServiceMonitor|PrometheusRule)$/m.test(manifest),
      )
      .filter((manifest) => known.includes('httproutes') || !/^kind: HTTPRoute$/m.test(manifest));
    const file = join(mkdtempSync(join(tmpdir(), 'otaflux-cluster-')), 'manifests.yaml');
    writeFileSync(file, own.join('---\n'));
    const { status, stderr } = spawnSync('kubectl', ['apply', '--dry-run=server', '-f', file], { encoding: 'utf8' });
    rmSync(file);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});
