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
  const page = readFileSync(join(ROOT, 'docs/tutorial-kubernetes.md'), 'utf8');
  const blocks = [...page.matchAll(/<!-- runs in the cluster test -->\n+```sh\n([\s\S]*?)```/g)].map(
    (match) => match[1] ?? '',
  );

  it('leads to a signed update, and its commands print what it says', async () => {
    expect(blocks.length).toBeGreaterThan(10);
    const script = blocks.join('\n').replaceAll('./helm/otaflux', CHART);
    const { status, output } = await shell(script);
    const promised = [...script.matchAll(/^# (.*)$/gm)].map((match) => match[1] ?? '');
    expect(promised.length).toBeGreaterThan(1);
    for (const line of promised) expect(output).toContain(line);
    expect({ status, output: status === 0 ? '' : output }).toEqual({ status: 0, output: '' });
  });
});

/** A namespace with a registry and the chart, for the length of a `describe`. */
class Namespace {
  readonly name: string;

  constructor(
    what: string,
    private readonly values: readonly string[],
  ) {
    this.name = `otaflux-${what}-${process.pid}`;
    beforeAll(() => {
      this.start();
    });
    afterAll(() => {
      kubectl('delete', 'namespace', this.name, '--wait=false');
    });
  }

  kubectl(...args: string[]): string {
    return kubectl('--namespace', this.name, ...args);
  }

  /** Runs `script` in a pod of our own image, which has Node; resolves with what it printed. */
  async run(name: string, script: string): Promise<string> {
    this.kubectl('run', name, '--image', IMAGE, '--restart=Never', '--command', '--', 'node', '-e', script);
    const until = [`pod/${name}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=200s'];
    await new Promise((resolve) =>
      spawn('kubectl', ['--namespace', this.name, 'wait', ...until], { stdio: 'ignore' }).once('close', resolve),
    );
    return this.kubectl('logs', name);
  }

  async push(version: string, bytes: number): Promise<void> {
    await this.run(
      'push',
      `require('fs').writeFileSync('/tmp/firmware.bin', Buffer.alloc(${bytes}, 'x'));
       process.argv = ['node', 'otaflux', 'push', 'esp32', '${version}', '/tmp/firmware.bin', '--registry-url', 'http://registry:5000'];
       import('/app/dist/main.js');`,
    );
  }

  private start(): void {
    kubectl('create', 'namespace', this.name);
    this.kubectl('create', 'secret', 'generic', 'otaflux', '--from-literal', 'WEBHOOK_SECRET=only-for-a-test');
    this.kubectl('apply', '-f', join(ROOT, 'config/kubernetes/registry.yaml'));
    this.kubectl('wait', '--for=condition=Available', 'deployment/registry', '--timeout=120s');
    const set = ['otaflux.registry.url=http://registry:5000', ...this.values].flatMap((value) => ['--set', value]);
    runProgram('helm', ['install', 'ota', CHART, '--namespace', this.name, ...set, '--wait']);
  }
}

describe('a rolling update', () => {
  const namespace = new Namespace('rollout', ['replicaCount=2']);

  it('fails no request, and ends no download', async () => {
    await namespace.push('1.0.0', 8_000_000);
    const devices = namespace.run('devices', readFileSync(join(ROOT, 'test/cluster/devices.cjs'), 'utf8'));
    namespace.kubectl('wait', 'pod/devices', '--for=condition=Ready', '--timeout=30s');
    for (let turn = 0; turn < 3; turn++) {
      namespace.kubectl('rollout', 'restart', 'deployment/ota-otaflux');
      namespace.kubectl('rollout', 'status', 'deployment/ota-otaflux', '--timeout=60s');
    }
    const { 200: answered, ...others } = JSON.parse(await devices) as Record<string, number>;
    expect(answered).toBeGreaterThan(500);
    expect(others).toEqual({ downloaded: 4 });
  });
});

describe('a container that starts again while the registry is away', () => {
  const namespace = new Namespace('recall', ['otaflux.cache.dir.enabled=true']);
  const inServer = (script: string): string =>
    namespace.kubectl('exec', 'deployment/ota-otaflux', '--', 'node', '-e', script);
  const ask = "fetch('http://localhost:8080/version?device=esp32').then((answer) => answer.text()).then(console.log)";

  it('serves what it served', async () => {
    await namespace.push('1.0.0', 10_000);
    const before = inServer(ask);
    expect(before).toMatch(/^1\.0\.0\n/);
    namespace.kubectl('scale', 'deployment/registry', '--replicas=0');
    namespace.kubectl('wait', '--for=delete', 'pod', '--selector', 'app=registry', '--timeout=60s');
    inServer("process.kill(1, 'SIGTERM')");
    const pods = ['pod', '--selector', 'app.kubernetes.io/name=otaflux', '--timeout=60s'];
    namespace.kubectl('wait', ...pods, '--for=jsonpath={.status.containerStatuses[0].restartCount}=1');
    namespace.kubectl('wait', ...pods, '--for=condition=Ready');
    expect(inServer(ask)).toBe(before);
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
