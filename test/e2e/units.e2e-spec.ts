import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FleetStore, type UnitEvent, Fleet, type UnitState } from '../../src/index.js';
import { MemoryFleetStore } from '../../src/fleet/memory-fleet-store.js';
import { firmwareBytes } from '../support/bytes.js';
import { Cli, run, type Finished } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

interface Shown {
  readonly unit: string;
  readonly running: string | null;
  readonly offered: { readonly version: string } | null;
  readonly outcome: {
    readonly outcome: string;
    readonly version: string | null;
    readonly message: string | null;
  } | null;
}

const registry = new FakeRegistry();
const folder = mkdtempSync(join(tmpdir(), 'otaflux-units-'));
let service: TestService;

beforeAll(() => registry.start());
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  registry.push('esp32', '1.0.0', firmwareBytes(3_000));
  registry.push('line-1/sensor', '1.0.0', firmwareBytes(3_000));
});
afterEach(async () => {
  await service.stop();
  for (const name of [...registry.names()]) registry.remove(name);
  registry.fault = () => false;
});

const start = async (options: TestOptions = {}, parts = {}): Promise<void> => {
  service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', ...options }, parts);
};
const report = (body: unknown, query = 'device=esp32&unit=a'): Promise<Response> =>
  service.fetch(`/report?${query}`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
const unit = async (name: string, product = 'esp32'): Promise<Shown> =>
  (await service.management.get('/units').query({ product, unit: name }).expect(200)).body as Shown;
const isUnknown = async (name: string, product = 'esp32'): Promise<boolean> =>
  (await service.management.get('/units').query({ product, unit: name })).status === 404;

describe('a unit', () => {
  it('is known after a request that names it, with what it says and what it was offered', async () => {
    await start();
    await service.version('esp32&unit=a&running=0.9.0&hardware=rev-b');
    expect(await unit('a')).toMatchObject({
      unit: 'a',
      protocol: 'native',
      running: '0.9.0',
      hardware: 'rev-b',
      offered: { version: '1.0.0' },
      outcome: null,
    });
    await service.version('esp32');
    expect((await service.management.get('/units').query({ product: 'esp32' })).body).toMatchObject({
      total: 1,
      byVersion: { '0.9.0': 1 },
      next: null,
    });
  });

  it('that says that it runs what it was offered has installed it', async () => {
    await start();
    await service.version('esp32&unit=a&running=0.9.0');
    await service.version('esp32&unit=a&running=1.0.0');
    expect(await unit('a')).toMatchObject({ running: '1.0.0' });
    await service.version('esp32&unit=a&running=v1.0.0');
    expect((await unit('a')).outcome).toMatchObject({ outcome: 'installed', version: '1.0.0' });
    expect(await service.metrics()).toContain('otaflux_unit_outcomes_total{protocol="native",outcome="installed"} 1');
  });

  it('that has always run the current version was not updated', async () => {
    await start();
    await service.version('esp32&unit=a&running=1.0.0');
    expect(await unit('a')).toMatchObject({ running: '1.0.0', offered: null, outcome: null });
  });

  it('is told in events, from the question to the outcome', async () => {
    await start({ LOG_LEVEL: 'debug' });
    const events: UnitEvent[] = [];
    service.service.get(Fleet).events.subscribe((event) => events.push(event));
    await service.version('esp32&unit=a&running=0.9.0');
    await (await service.firmware('esp32&unit=a')).arrayBuffer();
    await (await service.firmware('esp32&unit=a', { headers: { range: 'bytes=10-' } })).arrayBuffer();
    await report({ outcome: 'failed', message: 'no space\nleft' });
    await report({ outcome: 'rejected', version: '1.0.0' });
    await report({ outcome: 'installed' });
    expect(events.map(({ kind, unit: name, version, message }) => [kind, name, version, message])).toEqual([
      ['checked', 'a', '0.9.0', undefined],
      ['offered', 'a', '1.0.0', undefined],
      ['downloading', 'a', '1.0.0', undefined],
      ['failed', 'a', '1.0.0', 'no space left'],
      ['rejected', 'a', '1.0.0', undefined],
      ['installed', 'a', '1.0.0', undefined],
    ]);
    expect(service.events('unit.failed')).toMatchObject([{ device: 'esp32', unit: 'a', message: 'no space left' }]);
  });
});

describe('what units say in quick succession', () => {
  const push = async (version: string): Promise<void> => {
    registry.push('esp32', version, firmwareBytes(3_000, version));
    await until(async () => (await service.versionOf('esp32')) === version, version);
  };

  it('is an install, also if the unit is offered the next version at once', async () => {
    await start({ LOG_LEVEL: 'debug' });
    await service.version('esp32&unit=a&running=0.9.0');
    await push('1.1.0');
    await service.version('esp32&unit=a&running=1.0.0');
    expect(await unit('a')).toMatchObject({
      running: '1.0.0',
      offered: { version: '1.1.0' },
      outcome: { outcome: 'installed', version: '1.0.0' },
    });
    await service.version('esp32&unit=b');
    await service.version('esp32&unit=b&running=1.1.0');
    expect((await unit('b')).outcome).toMatchObject({ outcome: 'installed', version: '1.1.0' });
    expect(service.events('unit.installed')).toHaveLength(2);
  });

  it('is stored in its order: a report is not undone by what the unit said before', async () => {
    await start();
    const fleet = service.service.get(Fleet);
    fleet.seen({ product: 'esp32', unit: 'a', running: '0.9.0' }, 'native');
    void fleet.flush();
    expect((await report({ version: '1.0.0', outcome: 'installed' })).status).toBe(204);
    fleet.seen({ product: 'esp32', unit: 'b', running: '0.9.0' }, 'native');
    void fleet.flush();
    await fleet.report({ product: 'esp32', unit: 'b' }, 'native', { running: '1.0.0' });
    for (const name of ['a', 'b']) expect(await unit(name)).toMatchObject({ running: '1.0.0' });
  });

  it('is an install, if the unit reports that it runs what it was offered', async () => {
    await start();
    await service.version('esp32&unit=a&running=0.9.0');
    await report({ running: '1.0.0' });
    expect((await unit('a')).outcome).toMatchObject({ outcome: 'installed', version: '1.0.0' });
    await report({ running: '1.0.0' });
    expect(await service.metrics()).toContain('otaflux_unit_outcomes_total{protocol="native",outcome="installed"} 1');
  });
});

describe('units of a product that does not exist', () => {
  it.each([
    ['/version?device=none&unit=a', {}],
    ['/firmware?device=none&unit=a', {}],
    ['/firmware?device=none&unit=a', { 'user-agent': 'ESP8266-http-Update' }],
    ['/firmware?device=none&unit=a', { 'user-agent': 'ESP8266-http-Update', 'x-esp8266-mode': 'version' }],
    ['/firmware?device=none&unit=a', { 'user-agent': 'ESP8266-http-Update', 'x-esp8266-mode': 'spiffs' }],
    ['/esphome/none/manifest.json?unit=a', {}],
    ['/swupdate/none?unit=a', {}],
    ['/rauc/none', { 'rauc-serial': 'a', range: 'bytes=0-3' }],
    ['/none/controller/v1/a', {}],
  ])('are not stored: GET %s with %j', async (path, headers: Record<string, string>) => {
    await start();
    expect((await service.fetch(path, { headers })).status).toBe(404);
    expect(await isUnknown('a', 'none')).toBe(true);
  });
});

describe('a report', () => {
  it('is answered 204, and shown', async () => {
    await start();
    const answer = await report({ version: '1.0.0', outcome: 'installed', message: 'fine' });
    expect([answer.status, await answer.text()]).toEqual([204, '']);
    expect(await unit('a')).toMatchObject({
      running: '1.0.0',
      outcome: { outcome: 'installed', version: '1.0.0', message: 'fine' },
    });
    expect((await report({ running: '1.1.0' }, 'device=line-1/sensor&unit=b')).status).toBe(204);
    expect(await unit('b', 'line-1/sensor')).toMatchObject({ running: '1.1.0', outcome: null });
  });

  it.each([
    ['no device', {}, 'unit=a', 400, "Missing required query parameter: 'device'"],
    ['no unit', { outcome: 'failed' }, 'device=esp32', 400, "Missing required query parameter: 'unit'"],
    ['a unit that is no text', {}, 'device=esp32&unit=%0a', 400, 'Invalid unit'],
    ['an unknown product', { outcome: 'failed' }, 'device=none&unit=a', 404, "No firmware for device 'none'"],
    ['no body', '', 'device=esp32&unit=a', 400, 'Bad request body: it is not JSON'],
    ['no JSON', '{"outcome"', 'device=esp32&unit=a', 400, 'Bad request body: it is not JSON'],
    ['a list', [], 'device=esp32&unit=a', 400, 'Bad request body: it is not a JSON object'],
    ['null', null, 'device=esp32&unit=a', 400, 'Bad request body: it is not a JSON object'],
    ['nothing to report', {}, 'device=esp32&unit=a', 400, 'Bad request body: expected {"version"'],
    [
      'an unknown outcome',
      { outcome: 'done' },
      'device=esp32&unit=a',
      400,
      'outcome: expected installed, failed, rejected',
    ],
    ['a version that is no text', { running: 7 }, 'device=esp32&unit=a', 400, 'running: expected 1 to 128 printable'],
    [
      'a long version',
      { running: 'x'.repeat(129) },
      'device=esp32&unit=a',
      400,
      'running: expected 1 to 128 printable',
    ],
    ['a long body', { message: 'x'.repeat(70_000) }, 'device=esp32&unit=a', 413, 'send at most 64 KiB'],
  ])('with %s is refused, and changes nothing', async (_what, body, query, status, text) => {
    await start();
    const answer = await report(body, query);
    expect(answer.status).toBe(status);
    expect(await answer.text()).toContain(text);
    expect(await isUnknown('a')).toBe(true);
  });

  it('is read in every form in which clients send a body', async () => {
    await start();
    const client = await RawClient.open(service.port);
    const head = 'POST /report?device=esp32&unit=UNIT HTTP/1.1\r\nHost: x\r\n';
    const json = '{"outcome":"failed"}';
    const forms: [string, string][] = [
      ['length', `Content-Length: ${json.length}\r\n\r\n${json}`],
      ['type', `Content-Type: application/json;charset=UTF-8\r\nContent-Length: ${json.length}\r\n\r\n${json}`],
      ['chunked', `Transfer-Encoding: chunked\r\n\r\n5\r\n${json.slice(0, 5)}\r\nf\r\n${json.slice(5)}\r\n0\r\n\r\n`],
    ];
    for (const [name, rest] of forms)
      expect((await client.request(head.replace('UNIT', name) + rest)).status).toBe(204);
    client.close();
    for (const [name] of forms) expect(await unit(name)).toMatchObject({ outcome: { outcome: 'failed' } });
    const compressed = await service.fetch('/report?device=esp32&unit=z', {
      method: 'POST',
      body: json,
      headers: { 'content-encoding': 'gzip' },
    });
    expect(compressed.status).toBe(415);
    expect((await service.fetch('/report?device=esp32&unit=z')).headers.get('allow')).toBe('POST');
  });

  it('that arrives byte by byte is read', async () => {
    await start();
    const client = await RawClient.open(service.port);
    const json = JSON.stringify({ outcome: 'failed', message: 'x'.repeat(400), more: ' '.repeat(3_000) });
    const chunks = json
      .split('')
      .map((letter) => `1\r\n${letter}\r\n`)
      .join('');
    const head = 'POST /report?device=esp32&unit=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect((await client.request(`${head}${chunks}0\r\n\r\n`)).status).toBe(204);
    client.close();
    expect(await unit('a')).toMatchObject({ outcome: { message: 'x'.repeat(400) } });
  });

  it('that could not be stored may be repeated: what the unit was offered is still known', async () => {
    let isFull = false;
    class SometimesFull extends MemoryFleetStore {
      override update(...args: Parameters<MemoryFleetStore['update']>): ReturnType<MemoryFleetStore['update']> {
        return isFull ? Promise.reject(new Error('disk full')) : super.update(...args);
      }
    }
    await start({}, { fleetStore: SometimesFull });
    await service.version('esp32&unit=a&running=0.9.0');
    isFull = true;
    expect((await report({ outcome: 'failed' })).status).toBe(503);
    isFull = false;
    expect((await report({ outcome: 'failed' })).status).toBe(204);
    expect(await unit('a')).toMatchObject({ running: '0.9.0', outcome: { outcome: 'failed', version: '1.0.0' } });
  });

  it('that is larger than it says is refused while it arrives', async () => {
    await start();
    const client = await RawClient.open(service.port);
    const piece = `8000\r\n${' '.repeat(0x8000)}\r\n`;
    const answer = await client.request(
      `POST /report?device=esp32&unit=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${piece.repeat(3)}`,
    );
    expect(answer.status).toBe(413);
    client.close();
  });

  it('is stored while the registry is away, also of a product that is not known yet', async () => {
    await start();
    registry.fault = () => true;
    expect((await report({ outcome: 'failed' })).status).toBe(204);
    expect(await unit('a')).toMatchObject({ outcome: { outcome: 'failed' } });
  });

  it('is taken where polls have used up the limit of the product', async () => {
    await start({ DEVICE_RATE_LIMIT: '3/m' });
    let status = 200;
    for (let polls = 0; status === 200 && polls < 10; polls++) status = (await service.version('esp32&unit=a')).status;
    expect(status).toBe(429);
    expect((await report({ outcome: 'failed' })).status).toBe(204);
  });

  it('that cannot be stored is not answered 204', async () => {
    class Full extends FleetStore {
      override find = (): undefined => undefined;
      override update = (): Promise<{ before: undefined; after: UnitState }> => Promise.reject(new Error('disk full'));
      override remove = (): Promise<undefined> => Promise.resolve(undefined);
      override list = (): Promise<[]> => Promise.resolve([]);
      override counts = (): Promise<{ units: number; byVersion: Map<string, number> }> =>
        Promise.resolve({ units: 0, byVersion: new Map() });
      override products = (): Promise<[]> => Promise.resolve([]);
    }
    await start({}, { fleetStore: Full });
    expect((await report({ outcome: 'failed' })).status).toBe(503);
    expect((await service.version('esp32&unit=a')).status).toBe(200);
    expect((await service.version('esp32&unit=b')).status).toBe(200);
    await service.service.get(Fleet).flush();
    expect(service.events('units.store_failed')).toHaveLength(1);
  });

  it('survives the end of the process at any moment with STATE_DIR', async () => {
    await start();
    const state = join(folder, 'killed');
    const begin = async (): Promise<{ cli: Cli; url: string }> => {
      const cli = new Cli(
        ['--log-format', 'json', '--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
        {
          REGISTRY_URL: registry.url,
          STATE_DIR: state,
        },
      );
      return { cli, url: `http://127.0.0.1:${await cli.port()}` };
    };
    const answered: string[] = [];
    for (let round = 0; round < 3; round++) {
      const { cli, url } = await begin();
      let sent = 0;
      await Promise.all(
        Array.from({ length: 40 }, async () => {
          const name = `r${round}-${sent++}`;
          const body = JSON.stringify({ outcome: 'installed', version: '1.0.0' });
          const { status } = await fetch(`${url}/report?device=esp32&unit=${name}`, { method: 'POST', body }).catch(
            () => ({ status: 0 }),
          );
          if (status === 204) answered.push(name);
          // In the middle of the others.
          if (answered.length === round * 40 + 10 * (round + 1)) cli.kill('SIGKILL');
        }),
      );
      cli.kill('SIGKILL');
      await cli.finished;
    }
    expect(answered.length).toBeGreaterThan(30);
    await service.stop();
    await start({ STATE_DIR: state });
    for (const name of answered) expect(await unit(name)).toMatchObject({ outcome: { outcome: 'installed' } });
  });
});

describe('otaflux units', () => {
  const command = (...args: string[]): Promise<Finished> => run(['units', ...args, '--url', service.managementUrl]);

  it('retry makes a unit try again what it has failed to install', async () => {
    await start();
    await service.version('esp32&unit=a');
    await report({ outcome: 'failed', message: 'no space' });
    expect(await command('retry', 'esp32', 'a')).toMatchObject({
      code: 0,
      stdout:
        'a: the outcome "failed" of 1.0.0 is forgotten. The unit is offered the current release again at its next request\n',
    });
    expect((await unit('a')).outcome).toBeNull();
    expect(await command('retry', 'esp32', 'a')).toMatchObject({
      code: 0,
      stdout: 'a: no outcome was stored. The unit is offered the current release unless it runs it\n',
    });
    const json = await command('retry', 'esp32', 'a', '--json');
    expect(JSON.parse(json.stdout)).toEqual({ product: 'esp32', unit: 'a', forgotten: null });
    expect(await command('retry', 'esp32', 'nobody')).toMatchObject({ code: 1 });
    expect(await command('retry', 'esp32')).toMatchObject({ code: 2 });
  });

  it('forget makes a unit a new one', async () => {
    await start();
    await service.version('esp32&unit=a&running=0.9.0');
    await report({ outcome: 'failed' });
    expect(await command('forget', 'esp32', 'a')).toMatchObject({
      code: 0,
      stdout: 'a: forgotten. The unit is new at its next request\n',
    });
    expect(await isUnknown('a')).toBe(true);
    expect(await command('forget', 'esp32', 'a')).toMatchObject({ code: 1 });
  });

  it('shows the units of a product as a table, as JSON and as CSV', async () => {
    await start();
    await service.version('esp32&unit=24:6f:28:aa:bb:cc&running=0.9.0&hardware=rev-b');
    await report(
      { outcome: 'failed', message: '=cmd("x"), no space', attributes: { rssi: -60 } },
      'device=esp32&unit=b',
    );
    const table = await command('esp32');
    expect(table.stderr).toBe('');
    expect(table.stdout).toMatch(
      /^esp32: 2 units, 1 × 0\.9\.0\n\nUNIT +RUNNING +OFFERED +OUTCOME +LAST SEEN +HARDWARE +PROTOCOL\n/,
    );
    expect(table.stdout).toMatch(
      /\n24:6f:28:aa:bb:cc +0\.9\.0 +1\.0\.0 +- +\d{4}-\S+Z +rev-b +native\nb +- +- +failed +/,
    );
    const json = (await command('esp32', '--json')).stdout.trim().split('\n');
    expect(json.map((line) => (JSON.parse(line) as Shown).unit)).toEqual(['24:6f:28:aa:bb:cc', 'b']);
    const [head, , second] = (await command('esp32', '--csv')).stdout.split('\r\n');
    expect(head).toBe('unit,running,hardware,lastSeen,offered,outcome,outcomeVersion,message,protocol,firstSeen');
    expect(second).toMatch(/^b,,,\S+Z,,failed,,"'=cmd\(""x""\), no space",native,/);
    expect((await command('esp32', '--limit', '1', '--json')).stdout.trim().split('\n')).toHaveLength(1);
  });

  it('shows one unit with all that it has reported', async () => {
    await start();
    await report({ outcome: 'failed', message: 'no space', version: '1.0.0', attributes: { rssi: -60 } });
    const { stdout } = await command('esp32', 'a');
    expect(stdout).toMatch(/^unit +a\nrunning +-\n/);
    expect(stdout).toMatch(/\noutcome +failed 1\.0\.0 at \d{4}.*\nmessage +no space\nrssi +-60\n$/);
  });

  it('shows many, page by page', async () => {
    await start();
    const { body } = await service.management.get('/units').query({ product: 'esp32', limit: 1 });
    expect(body).toMatchObject({ units: [], next: null });
    for (let i = 0; i < 2_500; i++) service.service.get(Fleet).seen({ product: 'esp32', unit: `u${i}` }, 'native');
    const { stdout } = await command('esp32', '--json');
    expect(new Set(stdout.trim().split('\n')).size).toBe(2_500);
    expect((await command('esp32')).stdout.match(/UNIT/g)).toHaveLength(1);
  });

  it('fails with a line that says why', async () => {
    await start();
    expect(await command('esp32')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('knows no unit of esp32'),
    });
    expect(await command('esp32', 'x')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('esp32 has no unit'),
    });
    expect(await command('ESP 32')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('product: expected'),
    });
    expect(await command('esp32', '--csv', '--json')).toMatchObject({ code: 2 });
    expect(await command('esp32', '--limit', '0')).toMatchObject({ code: 2 });
  });

  it('is protected by the management token, on the management port only', async () => {
    await start({ MANAGEMENT_TOKEN: 'a-token-of-16-chars' });
    await service.management.get('/units').query({ product: 'esp32' }).expect(401);
    await service.api.get('/units').query({ product: 'esp32' }).expect(404);
    await service.management
      .get('/units')
      .query({ product: 'esp32', limit: '10001' })
      .set('Authorization', 'Bearer a-token-of-16-chars')
      .expect(400);
  });
});

describe('the metrics of units', () => {
  it('are bounded, whatever units say', async () => {
    await start();
    const fleet = service.service.get(Fleet);
    for (let i = 0; i < 100; i++) fleet.seen({ product: 'esp32', unit: `u${i}`, running: `text ${i}` }, 'native');
    for (let i = 0; i < 60; i++) fleet.seen({ product: 'esp32', unit: `v${i}`, running: `1.0.${i % 30}` }, 'native');
    const lines = (await service.metrics()).split('\n').filter((line) => line.startsWith('otaflux_units{'));
    expect(lines).toHaveLength(21);
    expect(lines).toContain('otaflux_units{product="esp32",version="1.0.0"} 2');
    expect(lines).toContain('otaflux_units{product="esp32",version="other"} 120');
  });
});
