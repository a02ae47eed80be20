import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { LIVES, type Send } from '../support/clients/lives.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { hostileRequest, Random, type Known } from '../support/hostile-requests.js';
import { KeepAlive } from '../support/keep-alive.js';
import { artifactOf } from '../support/mender-artifact.js';
import { rssMegabytes, socketsOf } from '../support/proc.js';
import { RawClient } from '../support/raw-client.js';
import { until } from '../support/service.js';

const REQUESTS = 10_000;
const ROUNDS = 5;
const CLIENTS = 20;
const PER_CONNECTION = 20;
const PRODUCT = 'h3board';
const VERSION = '2.0.0';
/** A run can be repeated: HOSTILE_SEED=123. */
const SEED = Number(process.env.HOSTILE_SEED ?? Date.now() % 1_000_000_000);
/** Far more than a body or a unit takes, far less than what 10,000 leaked bodies would. */
const MAX_GROWTH_MEGABYTES = 200;
/** Every answer comes at once. A connection that is silent for so long is left hanging. */
const HANGS_AFTER_MS = 20_000;

const image = artifactOf(`rel-${VERSION}`, [PRODUCT], firmwareBytes(20_000, 'hostile'));

/** Values of labels that depend on the answer, not on what the client sends: a status, a bucket. `version` is bounded. */
const FREE = new Set(['status', 'method', 'le', 'version', 'kind', 'space', 'type']);
const MAX_VERSIONS = 21;

/** What a request may add to the metrics: the routes that no unit has asked before, and words of the server itself. */
const CLOSED = new Set([
  'path=/version',
  'path=/firmware',
  'path=/firmware/:product.bin',
  'path=/report',
  'path=/esphome/:product/manifest.json',
  'path=/esphome/:product/:version.bin',
  'path=/swupdate/:product',
  'path=/swupdate/:product/log',
  'path=/swupdate/:product/:version.swu',
  'path=/rauc/:product',
  'path=/rauc/:product/:version.raucb',
  'path=/:tenant/controller/v1/:unit',
  'path=/:tenant/controller/v1/:unit/configData',
  'path=/:tenant/controller/v1/:unit/deploymentBase/:action',
  'path=/:tenant/controller/v1/:unit/deploymentBase/:action/feedback',
  'path=/:tenant/controller/v1/:unit/cancelAction/:action',
  'path=/:tenant/controller/v1/:unit/cancelAction/:action/feedback',
  'path=/:tenant/controller/v1/:unit/installedBase',
  'path=/:tenant/controller/v1/:unit/installedBase/:action',
  'path=/:tenant/controller/v1/:unit/confirmationBase',
  'path=/:tenant/controller/v1/:unit/confirmationBase/:action',
  'path=/:tenant/controller/v1/:unit/confirmationBase/:action/feedback',
  'path=/:tenant/controller/v1/:unit/activateAutoConfirm',
  'path=/:tenant/controller/v1/:unit/deactivateAutoConfirm',
  'path=/:tenant/controller/v1/:unit/softwaremodules/:action/artifacts',
  'path=/:tenant/controller/v1/:unit/softwaremodules/:action/artifacts/:file',
  'path=/:tenant/controller/v1/:unit/:other',
  'path=/api/devices/v1/authentication/auth_requests',
  'path=/api/devices/v1/deployments/device/deployments/next',
  'path=/api/devices/v2/deployments/device/deployments/next',
  'path=/api/devices/v1/deployments/device/deployments/:id/status',
  'path=/api/devices/v1/deployments/device/deployments/:id/log',
  'path=/api/devices/v1/deployments/device/deployments/:id/artifact',
  'path=/api/devices/v1/inventory/device/attributes',
  'path=/health',
  'path=/webhooks/:source',
  'path=other',
  'outcome=installed',
  'outcome=failed',
  'outcome=rejected',
  'reason=failed',
  'reason=hardware',
  'reason=requires',
  'result=absent',
  'protocol=native',
  'protocol=arduino',
  'protocol=esphome',
  'protocol=swupdate',
  'protocol=rauc',
  'protocol=ddi',
  'protocol=mender',
]);

describe(`${REQUESTS.toLocaleString('en')} hostile requests to all routes of all protocols`, () => {
  const registry = new FakeRegistry();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-hostile-'));
  let server: Cli;
  let port = 0;
  let management = '';
  let known: Known;

  beforeAll(async () => {
    await registry.start();
    registry.push(PRODUCT, VERSION, image, undefined, undefined, { 'vnd.otaflux.chip-family': 'ESP32' });
    server = new Cli(
      [
        ...['--log-format', 'json', '--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
        ...['--address-rate-limit', '0', '--device-rate-limit', '0', '--mender-accept', 'first-use'],
      ],
      { REGISTRY_URL: registry.url, STATE_DIR: join(folder, 'state') },
    );
    port = await server.port();
    management = `http://${String((await server.event('server.ready')).management)}`;
    known = await firstLife();
  });
  afterAll(async () => {
    server.kill();
    await server.finished;
    await registry.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One unit of each protocol lives its life, and leaves ids and tokens that are right. */
  const firstLife = async (): Promise<Known> => {
    const client = new KeepAlive(port, 1);
    const found = { action: '', deployment: '', token: '', login: '', signature: '' };
    const send: Send = async (expected, method, target, sent) => {
      const reply = await client.send(method, target, sent);
      if (reply.status !== expected) throw new Error(`${method} ${target}: ${reply.status} ${reply.body.toString()}`);
      found.action = /deploymentBase\/(\d+)$/.exec(target)?.[1] ?? found.action;
      found.deployment = /deployments\/([^/]+)\/status$/.exec(target)?.[1] ?? found.deployment;
      if (target.endsWith('auth_requests')) {
        found.token = reply.body.toString();
        found.login = sent?.body ?? '';
        found.signature = sent?.headers?.['X-MEN-Signature'] ?? '';
      }
      return reply;
    };
    for (const [name, live] of Object.entries(LIVES)) await live(send, PRODUCT, `${name}-1`, '1.0.0', VERSION);
    client.close();
    return { product: PRODUCT, version: VERSION, ...found };
  };

  const labels = async (): Promise<Map<string, Set<string>>> => {
    const found = new Map<string, Set<string>>();
    const metrics = await (await fetch(`${management}/metrics`)).text();
    for (const [, names = ''] of metrics.matchAll(/^[a-z_]+\{(.*)\} /gm))
      for (const [, name = '', value = ''] of names.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
        found.set(name, (found.get(name) ?? new Set()).add(value));
    return found;
  };

  const problems: string[] = [];
  const statuses = new Map<number, number>();

  const attack = async (random: Random, count: number): Promise<void> => {
    for (let sent = 0; sent < count;) {
      const client = await RawClient.open(port);
      const all: string[] = [];
      client.socket.setTimeout(HANGS_AFTER_MS, () => {
        problems.push(`no answer: ${JSON.stringify(all.slice(-2))}`);
        client.close();
      });
      for (let i = 0; i < PER_CONNECTION && sent < count; i++) {
        sent++;
        const { text, isHead, isCut } = hostileRequest(random, known);
        all.push(text.slice(0, 300));
        client.send(text);
        if (isCut) client.socket.end();
        try {
          let answer = await client.receive({ head: isHead });
          while (answer.status < 200) answer = await client.receive({ head: isHead });
          const { status, headers } = answer;
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status >= 500) problems.push(`${status}: ${JSON.stringify(text.slice(0, 300))}`);
          // Behind a request with Upgrade, Node reports no error of the next one: it is left to the time-out.
          if (isCut || headers.get('connection') === 'close' || text.includes('\r\nUpgrade:')) break;
        } catch (error) {
          // The server may close a connection behind a refusal, or because of a request that was cut.
          if (!String(error).includes('connection ended, got ""'))
            problems.push(`${String(error)}: ${JSON.stringify(text.slice(0, 300))}`);
          break;
        }
      }
      client.close();
    }
  };

  it('cause no crash, no status of 500 or more, no new label, and leave no connection', async () => {
    console.log(`HOSTILE_SEED=${SEED}`);
    const before = await labels();
    const sockets = socketsOf(server.pid);
    const megabytes: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const each = REQUESTS / ROUNDS / CLIENTS;
      await Promise.all(
        Array.from({ length: CLIENTS }, (_one, i) => attack(new Random(SEED + round * CLIENTS + i), each)),
      );
      megabytes.push(rssMegabytes(server.pid).all);
    }
    const counts = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
    console.log(`${counts.join(', ')}. RSS after each round: ${megabytes.map((mb) => mb.toFixed(0)).join(', ')} MB`);
    expect(problems.slice(0, 20)).toEqual([]);
    expect([...statuses.values()].reduce((a, b) => a + b)).toBeGreaterThan(REQUESTS / 2);
    for (const status of [200, 400, 404, 405, 413]) expect(statuses.get(status)).toBeGreaterThan(0);

    await until(() => socketsOf(server.pid) <= sockets, 'the end of all connections');
    expect((megabytes.at(-1) ?? 0) - (megabytes[0] ?? 0)).toBeLessThan(MAX_GROWTH_MEGABYTES);
    const lines = server.stdout.split('\n').filter((line) => /"level":"(?:error|fatal)"/.test(line));
    expect(lines.slice(0, 10)).toEqual([]);
    const after = await labels();
    const fresh = [...after].flatMap(([name, values]) =>
      FREE.has(name)
        ? []
        : [...values].filter((value) => before.get(name)?.has(value) !== true).map((value) => `${name}=${value}`),
    );
    expect(fresh.filter((label) => !CLOSED.has(label))).toEqual([]);
    expect(after.get('version')?.size).toBeLessThanOrEqual(MAX_VERSIONS);
    // Units of the product are offered the release as before.
    const client = new KeepAlive(port, 1);
    const send: Send = (_expected, method, target, sent) => client.send(method, target, sent);
    for (const [name, live] of Object.entries(LIVES))
      expect((await live(send, PRODUCT, `${name}-2`, '1.0.0', VERSION)).equals(image)).toBe(true);
    client.close();
  });
});
