import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RedisServer } from '../support/brokers.js';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { KeepAlive } from '../support/keep-alive.js';
import { MovedClock } from '../support/moved-clock.js';
import { DistributionServer, describeWith, freePort } from '../support/real-server.js';
import { until } from '../support/service.js';

/** 100,000 takes about eight times as long: ROLLOUT_UNITS=100000. */
const UNITS = Number(process.env.ROLLOUT_UNITS ?? 12_000);
const PRODUCT = 'month';
const DAY_MS = 86_400_000;
const STEP_MS = DAY_MS / 4;
/** A good release takes nine days: four for its stages, and five until the last unit asks. */
const MAX_DAYS = 25;
/** Each unit asks every five days, so that a month is a bounded number of requests. */
const STEPS_BETWEEN_POLLS = 20;
const CONNECTIONS = 100;
/** A halt is known everywhere after this time. */
const HALTED_EVERYWHERE_MS = 5_000;
const BAD = '1.2.0';
const BAD_SHARE = 0.08;

/** 0 to 1, always the same for the same text. */
const chanceOf = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32;

/** A device with an id. Every second one reports how an update ended; the others only say what they run. */
class Unit {
  running = '1.0.0';
  readonly tried = new Map<string, number>();
  readonly reported = new Set<string>();

  constructor(
    readonly name: string,
    readonly reports: boolean,
  ) {}

  /** Whether the unit ever runs this version. */
  fails(version: string): boolean {
    return version === BAD && chanceOf(`${this.name} fails`) < BAD_SHARE;
  }
}

interface Replica {
  server: Cli;
  client: KeepAlive;
  readonly port: number;
  readonly management: string;
  readonly clock: string;
}

describeWith(
  ['docker-registry', 'redis-server'],
  `a month of ${UNITS.toLocaleString('en')} units, with two servers, a registry and Redis`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-month-'));
    const registry = new DistributionServer();
    const redis = new RedisServer();
    const clock = new MovedClock();
    const replicas: Replica[] = [];
    const units = Array.from({ length: UNITS }, (_one, i) => new Unit(`unit-${i}`, i % 2 === 0));
    const forbidden: string[] = [];
    /** Everyone who was given the bytes of a version. */
    const took = new Map<string, Set<string>>();
    let haltedAtMs = Infinity;
    let requests = 0;

    const cli = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await new Cli([...args, '--registry-url', registry.url], {
        ...clock.variables(join(folder, 'command.sock')),
        NO_COLOR: '1',
      }).finished;
      clock.ended(join(folder, 'command.sock'));
      expect({ args, code, said: stdout + stderr }).toMatchObject({ code: 0 });
      return stdout;
    };

    const push = async (version: string): Promise<void> => {
      const file = join(folder, `${version}.bin`);
      writeFileSync(file, firmwareBytes(300, version));
      await cli('push', PRODUCT, version, file);
    };

    const start = async (replica: Pick<Replica, 'port' | 'clock'>, managementPort: number): Promise<Cli> => {
      const server = new Cli(
        [
          ...['--log-format', 'json', '--listen-addr', `127.0.0.1:${replica.port}`],
          ...['--metrics-listen-addr', `127.0.0.1:${managementPort}`, '--refresh-interval', '1s'],
          ...['--address-rate-limit', '0', '--device-rate-limit', '0', '--max-downloads', '10000'],
        ],
        {
          REGISTRY_URL: registry.url,
          REDIS_URL: `redis://127.0.0.1:${redis.port}`,
          CACHE_DIR: join(folder, `cache-${replica.port}`),
          ...clock.variables(replica.clock),
        },
      );
      await server.event('server.ready');
      return server;
    };

    beforeAll(async () => {
      await registry.start();
      await redis.start();
      for (const name of ['a', 'b']) {
        const [port, managementPort] = [await freePort(), await freePort()];
        const replica = { port, management: `http://127.0.0.1:${managementPort}`, clock: join(folder, `${name}.sock`) };
        const server = await start(replica, managementPort);
        replicas.push({ ...replica, server, client: new KeepAlive(port, CONNECTIONS) });
      }
      await push('1.0.0');
    });
    afterAll(async () => {
      for (const { client, server } of replicas) {
        client.close();
        server.kill();
      }
      await Promise.all(replicas.map(({ server }) => server.finished));
      await redis.stop();
      await registry.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    const send = async (
      replica: Replica,
      method: string,
      path: string,
      body?: string,
    ): ReturnType<KeepAlive['send']> => {
      requests++;
      const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
      return replica.client.send(method, path, { headers, ...(body !== undefined && { body }) });
    };

    /** One poll of a unit, and its update if it is offered one. */
    const poll = async (unit: Unit, replica: Replica): Promise<void> => {
      const who = `device=${PRODUCT}&unit=${unit.name}`;
      const askedAtMs = performance.now();
      const answer = await send(replica, 'GET', `/version?${who}&running=${unit.running}`);
      if (answer.status === 404) return;
      if (answer.status !== 200) {
        forbidden.push(`${unit.name}: ${answer.status} ${answer.body.toString()}`);
        return;
      }
      const version = answer.body.toString().split('\n')[0] ?? '';
      if (version === unit.running) return;
      if (version < unit.running) forbidden.push(`${unit.name} runs ${unit.running}, and was offered ${version}`);
      if (unit.reported.has(version)) forbidden.push(`${unit.name} failed ${version}, and was offered it again`);
      if ((unit.tried.get(version) ?? 0) >= 3) forbidden.push(`${unit.name} was offered ${version} a fourth time`);
      if (version === BAD && askedAtMs > haltedAtMs + HALTED_EVERYWHERE_MS)
        forbidden.push(`${unit.name} was offered ${version} after the halt`);
      const { status, body } = await send(
        replica,
        'GET',
        `/firmware?${who}&running=${unit.running}&version=${version}`,
      );
      if (status !== 200 || !body.equals(firmwareBytes(300, version))) return;
      took.set(version, (took.get(version) ?? new Set()).add(unit.name));
      unit.tried.set(version, (unit.tried.get(version) ?? 0) + 1);
      const fails = unit.fails(version);
      if (!fails) unit.running = version;
      if (!unit.reports) return;
      if (fails) unit.reported.add(version);
      const report = JSON.stringify({ version, outcome: fails ? 'failed' : 'installed' });
      const said = await send(replica, 'POST', `/report?${who}`, report);
      if (said.status !== 204) forbidden.push(`${unit.name}: report ${said.status} ${said.body.toString()}`);
    };

    let step = 0;
    /** Lets a time go by in which all units ask that are due. */
    const pass = async (days: number): Promise<void> => {
      for (let i = 0; i < days * (DAY_MS / STEP_MS); i++, step++) {
        await clock.advance(STEP_MS);
        const due = units.filter((_unit, at) => at % STEPS_BETWEEN_POLLS === step % STEPS_BETWEEN_POLLS);
        let next = 0;
        const work = async (): Promise<void> => {
          for (let at = next++; at < due.length; at = next++) {
            const unit = due[at];
            const alive = replicas.filter(({ server }) => server.pid !== 0);
            const replica = alive[(at + step) % alive.length];
            if (unit && replica) await poll(unit, replica);
          }
        };
        await Promise.all(Array.from({ length: CONNECTIONS }, work));
        for (const { server } of replicas)
          if (haltedAtMs === Infinity && server.stdout.includes('"rollout.halted"')) haltedAtMs = performance.now();
      }
    };

    /** A product is refreshed when somebody asks for it. */
    const known = async (version: string): Promise<void> => {
      for (const replica of replicas)
        await until(async () => {
          await send(replica, 'GET', `/version?device=${PRODUCT}`);
          return (await (await fetch(`${replica.management}/status`)).text()).includes(`"${version}"`);
        }, `${version} in /status`);
    };

    /** The rollout comes first: without it, everybody would be offered the version as soon as it is pushed. */
    const rollOut = async (version: string): Promise<void> => {
      await cli('rollout', 'start', PRODUCT, version);
      await known(version);
      await push(version);
    };

    const share = (version: string): number => (took.get(version)?.size ?? 0) / UNITS;

    /** Passes days until all units took a version. Servers look at rollouts once a second, while a day takes a few. */
    const passUntilAll = async (version: string): Promise<void> => {
      for (let days = 0; share(version) < 1 && days < MAX_DAYS; days++) await pass(1);
      expect(share(version)).toBe(1);
    };

    it('rolls good releases out, and stops the bad one before 2 % of the units took it', async () => {
      await pass(1);
      await rollOut('1.1.0');
      // Within the first stage: after a day, the second one begins as soon as a server looks.
      await pass(0.75);
      expect(share('1.1.0')).toBeLessThan(0.015);
      // The registry is away for two days.
      await registry.kill();
      await pass(2);
      await registry.launch();
      await passUntilAll('1.1.0');

      await rollOut(BAD);
      await pass(1);
      // Redis is away while the first units fail.
      await redis.kill();
      await pass(1);
      await redis.start();
      await pass(3);
      const killed = replicas[1];
      expect(killed).toBeDefined();
      if (killed) {
        killed.server.kill('SIGKILL');
        await killed.server.finished;
        killed.client.close();
        clock.ended(killed.clock);
        killed.server = await start(killed, Number(new URL(killed.management).port));
        killed.client = new KeepAlive(killed.port, CONNECTIONS);
      }
      // Units that report nothing have failed when they asked three times.
      for (let days = 0; (haltedAtMs === Infinity || days < 2) && days < MAX_DAYS; days++) await pass(1);
      expect(haltedAtMs).toBeLessThan(Infinity);
      await pass(1);
      expect(share(BAD)).toBeLessThan(0.02);
      expect(share(BAD)).toBeGreaterThan(0);

      await rollOut('1.3.0');
      await passUntilAll('1.3.0');
      console.log(
        `${requests} requests in ${(step * STEP_MS) / DAY_MS} days. Shares that took each version: ${['1.1.0', BAD, '1.3.0'].map((version) => `${version} ${(100 * share(version)).toFixed(2)} %`).join(', ')}`,
      );
      expect(forbidden.slice(0, 20)).toEqual([]);
    });
  },
);
