import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RealRedis } from '../support/real-redis.js';
import { describeWith } from '../support/real-server.js';
import { until } from '../support/service.js';

/** A server in a process of its own. */
class Replica {
  private constructor(
    readonly cli: Cli,
    readonly url: string,
    readonly management: string,
  ) {}

  static async start(args: readonly string[]): Promise<Replica> {
    const listen = ['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'];
    const cli = new Cli([...args, ...listen, '--log-format', 'json']);
    const { address, management } = await cli.event('server.ready');
    return new Replica(cli, `http://${String(address)}`, `http://${String(management)}`);
  }

  async version(query = ''): Promise<string> {
    const response = await fetch(`${this.url}/version?device=esp32${query}`);
    return (await response.text()).split('\n')[0] ?? '';
  }

  async outcomeOf(unit: string): Promise<string | undefined> {
    const response = await fetch(`${this.management}/units?product=esp32&unit=${unit}`);
    const state = (await response.json()) as { outcome?: { outcome: string } };
    return state.outcome?.outcome;
  }

  webhook(tag: string): Promise<Response> {
    const body = JSON.stringify({ repository: 'fw/esp32', tag });
    return fetch(`${this.url}/webhooks/generic`, { method: 'POST', body });
  }

  async stop(): Promise<void> {
    this.cli.kill();
    await this.cli.finished;
  }
}

describeWith(['redis-server'], 'two replicas in processes of their own', () => {
  let redis: RealRedis;
  let registry: FakeRegistry;
  let receiver: Server;
  let notices: string[];
  let hold: ((response: ServerResponse) => void) | undefined;
  let a: Replica;
  let b: Replica;

  beforeEach(async () => {
    redis = await new RealRedis().start();
    registry = new FakeRegistry();
    await registry.start();
    registry.push('fw/esp32', '1.0.0', firmwareBytes(1_000));
    notices = [];
    hold = undefined;
    receiver = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        const { data } = JSON.parse(Buffer.concat(pieces).toString()) as { data: { version: string } };
        notices.push(data.version);
        if (hold) hold(response);
        else response.writeHead(204).end();
      });
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => receiver.once('listening', resolve));
    const args = [
      ...['--registry-url', registry.url, '--repository-prefix', 'fw', '--refresh-interval', '1h'],
      ...['--notify', `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`, '--redis-url', redis.url],
    ];
    a = await Replica.start(args);
    b = await Replica.start(args);
    for (const replica of [a, b]) expect(await replica.version()).toBe('1.0.0');
    await until(() => notices.length > 0, 'the first notice');
  });
  afterEach(async () => {
    redis.resume();
    await Promise.all([a, b].map((replica) => replica.stop()));
    receiver.closeAllConnections();
    receiver.close();
    await registry.stop();
    await redis.stop();
  });

  it('know what a unit has reported to the other', async () => {
    const body = JSON.stringify({ outcome: 'failed', version: '1.0.0' });
    const { status } = await fetch(`${a.url}/report?device=esp32&unit=u1`, { method: 'POST', body });
    expect(status).toBe(204);
    await until(async () => (await b.outcomeOf('u1')) === 'failed', 'the outcome', 10_000);
  });

  it('refresh by the webhook of one, and announce once', async () => {
    registry.push('fw/esp32', '1.1.0', firmwareBytes(1_001));
    await a.webhook('1.1.0');
    for (const replica of [a, b]) await until(async () => (await replica.version()) === '1.1.0', 'the version', 10_000);
    // What comes after it has gone through the same outboxes.
    registry.push('fw/esp32', '1.2.0', firmwareBytes(1_002));
    await b.webhook('1.2.0');
    for (const replica of [a, b]) await until(async () => (await replica.version()) === '1.2.0', 'the version', 10_000);
    await until(() => notices.includes('1.2.0'), 'the notice', 10_000);
    expect(notices).toEqual(['1.0.0', '1.1.0', '1.2.0']);
  });

  it('announce what the other has claimed, when that is killed before it is confirmed', async () => {
    hold = (): void => undefined;
    registry.push('fw/esp32', '1.1.0', firmwareBytes(1_001));
    await a.webhook('1.1.0');
    await until(() => notices.includes('1.1.0'), 'the notice', 10_000);
    // One of both waits for the receiver. Whichever it is, the other one sends after the claim.
    const claimed = String(await redis.command('KEYS', '*:claim'));
    expect(claimed).toContain('notice');
    const owner = String(await redis.command('GET', claimed));
    expect(owner).toMatch(/^[0-9a-f]{16}$/);
    hold = undefined;
    a.cli.kill('SIGKILL');
    await a.cli.finished;
    await until(() => notices.filter((version) => version === '1.1.0').length >= 2, 'the second notice', 40_000);
    expect(await b.version()).toBe('1.1.0');
  });

  it('go on without Redis, each by itself', async () => {
    await redis.kill();
    registry.push('fw/esp32', '1.1.0', firmwareBytes(1_001));
    await Promise.all([a, b].map((replica) => replica.webhook('1.1.0')));
    for (const replica of [a, b]) {
      await until(async () => (await replica.version('&unit=u1&running=1.0.0')) === '1.1.0', 'the version', 10_000);
      await replica.cli.event('redis.failed');
    }
    await until(() => notices.filter((version) => version === '1.1.0').length === 2, 'both notices', 20_000);
    await redis.launch();
    for (const replica of [a, b]) await replica.cli.event('redis.restored');
    await until(async () => String(await redis.command('KEYS', '*')).includes('{esp32}:units'), 'the units', 20_000);
  });
});
