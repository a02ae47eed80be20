import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { SystemClock } from '../../src/clock.js';
import type { FleetStore } from '../../src/fleet/fleet-store.js';
import { RedisFleetStore, RedisRolloutLedger } from '../../src/fleet/redis/index.js';
import type { UnitState } from '../../src/fleet/unit-state.js';
import { ConnectedRedis, redisPlace, RedisReplicas } from '../../src/replicas/redis/index.js';
import { RealRedis, RealRedisCluster, RealSentinel } from '../support/real-redis.js';
import { describeWith } from '../support/real-server.js';
import { until } from '../support/service.js';

/** What one replica shares. */
interface Replica {
  readonly link: ConnectedRedis;
  readonly store: FleetStore;
  readonly ledger: RedisRolloutLedger;
  readonly replicas: RedisReplicas;
}

let count = 0;
const unit = { product: 'esp32', unit: 'a' };
const fail = (digest: string) => (before: UnitState | undefined) => ({
  ...(before ?? { firstSeenMs: 1, lastSeenMs: 1 }),
  outcome: { outcome: 'failed' as const, digest, atMs: 2 },
});
const add = (before: UnitState | undefined): UnitState => ({
  ...(before ?? { firstSeenMs: 1, lastSeenMs: 1 }),
  notes: { n: Number(before?.notes?.n ?? 0) + 1 },
});
/** A request waits for Redis once, at most 250 ms; the rest is this machine. */
const SOON_MS = 2_000;

async function within<T>(work: () => Promise<T> | T): Promise<T> {
  const sinceMs = performance.now();
  const result = await work();
  expect(performance.now() - sinceMs).toBeLessThan(SOON_MS);
  return result;
}

async function openReplica(url: string): Promise<Replica> {
  const link = new ConnectedRedis(await redisPlace(url));
  await link.start();
  const nothing = (): void => undefined;
  const store = new RedisFleetStore(link, nothing);
  const ledger = await RedisRolloutLedger.open(link, nothing, new SystemClock(), undefined);
  return { link, store, ledger, replicas: new RedisReplicas(link) };
}

async function closeReplica({ link, store, ledger }: Replica): Promise<void> {
  await store.close();
  await ledger.close();
  link.close();
}

describeWith(['redis-server', 'redis-cli'], 'replicas that share a Redis', () => {
  const single = new RealRedis();
  const cluster = new RealRedisCluster();
  const sentinel = new RealSentinel();

  beforeAll(async () => {
    await single.start();
    await cluster.start();
    await sentinel.start();
  });
  afterAll(async () => {
    await single.stop();
    await cluster.stop();
    await sentinel.stop();
  });

  describe.each([
    ['one server', (): string => single.url],
    ['a cluster of three', (): string => cluster.url],
    ['sentinels', (): string => sentinel.url],
  ])('%s', (_name, urlOf) => {
    let a: Replica;
    let b: Replica;

    beforeEach(async () => {
      const url = `${urlOf()}?prefix=run${count++}`;
      [a, b] = await Promise.all([openReplica(url), openReplica(url)]);
    });
    afterEach(async () => {
      await Promise.all([a, b].map(closeReplica));
    });

    it('lose no change of a unit that both change at the same time', async () => {
      await Promise.all(Array.from({ length: 100 }, (_one, i) => (i % 2 ? a : b).store.update(unit, add)));
      await until(async () => (await a.store.find(unit))?.notes?.n === 100, 'all changes');
      expect((await a.store.counts('esp32')).units).toBe(1);
      expect(await b.store.products(10)).toEqual(['esp32']);
    });

    it('know of a failed install of the other within seconds', async () => {
      await a.store.update(unit, add);
      expect((await b.store.find(unit))?.outcome).toBeUndefined();
      await a.store.update(unit, fail('sha256:1'));
      await until(async () => (await b.store.find(unit))?.outcome?.digest === 'sha256:1', 'the outcome', 5_000);
    });

    it('add up counts, and share stages and halts', async () => {
      const told: string[] = [];
      b.ledger.changes.subscribe((product) => told.push(product));
      for (let i = 0; i < 50; i++) {
        a.ledger.count('esp32', '1.5.0', { offered: 1, failed: 1 });
        b.ledger.count('esp32', '1.5.0', { offered: 1, installed: 1 });
      }
      a.ledger.count('esp32', '1.5.0', { failed: -1, installed: 1 });
      a.ledger.reach('esp32', '1.5.0', { index: 1, sinceMs: 10 });
      b.ledger.reach('esp32', '1.5.0', { index: 0, sinceMs: 20 });
      a.ledger.halt('esp32', '1.5.0', { reason: 'too many', atMs: 5 });
      const all = {
        tally: { offered: 100, installed: 51, failed: 49 },
        stage: { index: 1, sinceMs: 10 },
        halt: { reason: 'too many', atMs: 5 },
      };
      for (const { ledger } of [a, b])
        await until(() => JSON.stringify(ledger.find('esp32', '1.5.0')) === JSON.stringify(all), 'the sum', 5_000);
      expect(told).toContain('esp32');
      b.ledger.halt('esp32', '1.5.0', { reason: 'second', atMs: 6 });
      const late = await openReplica(`${urlOf()}?prefix=run${count - 1}`);
      expect(late.ledger.find('esp32', '1.5.0')).toEqual(all);
      late.ledger.keep('esp32', new Set());
      await until(() => a.ledger.find('esp32', '1.5.0') === undefined, 'the end of the record', 5_000);
      await closeReplica(late);
    });

    it('offer no more together than a rate allows', async () => {
      const rate = { offers: 20, perMs: 3_600_000 };
      let taken = 0;
      const sinceMs = performance.now();
      await until(() => {
        for (const { ledger } of [a, b]) if (ledger.take('esp32', '1.5.0', rate)) taken++;
        return performance.now() - sinceMs > 3_000 || taken > 20;
      }, 'all offers');
      expect(taken).toBe(20);
    });

    it('hear hints of each other, and claim work once', async () => {
      const heard: string[] = [];
      b.replicas.hints.subscribe((product) => heard.push(`b ${product}`));
      a.replicas.hints.subscribe((product) => heard.push(`a ${product}`));
      await until(() => {
        a.replicas.hint('line-1/sensor');
        return heard.length > 0;
      }, 'the hint');
      expect(new Set(heard)).toEqual(new Set(['b line-1/sensor']));
      const claims = await Promise.all([a, b].map(({ replicas }) => replicas.claim('esp32 1.5.0', 60_000)));
      expect(claims.filter(Boolean)).toHaveLength(1);
      const winner = claims[0] ? a : b;
      expect(await winner.replicas.claim('esp32 1.5.0', 60_000)).toBe(true);
      await winner.replicas.note('esp32 1.5.0', 'told', 60_000);
      await winner.replicas.release('esp32 1.5.0');
      expect(await Promise.all([a, b].map(({ replicas }) => replicas.noted('esp32 1.5.0')))).toEqual(['told', 'told']);
      expect(await (winner === a ? b : a).replicas.claim('esp32 1.5.0', 60_000)).toBe(true);
      expect(await a.replicas.claim('short', 50)).toBe(true);
      await until(() => b.replicas.claim('short', 50), 'the end of a claim', 5_000);
    });
  });

  describe('a Redis that fails', () => {
    let redis: RealRedis;
    let a: Replica;
    let b: Replica;

    beforeEach(async () => {
      redis = await new RealRedis().start();
      [a, b] = await Promise.all([openReplica(redis.url), openReplica(redis.url)]);
      await a.store.update(unit, add);
      a.ledger.count('esp32', '1.5.0', { offered: 10 });
      a.ledger.halt('esp32', '1.4.0', { reason: 'too many', atMs: 5 });
      await until(() => b.ledger.find('esp32', '1.4.0')?.halt !== undefined, 'the halt');
      await until(() => b.ledger.find('esp32', '1.5.0')?.tally.offered === 10, 'the counts');
    });
    afterEach(async () => {
      redis.resume();
      await Promise.all([a, b].map(closeReplica));
      await redis.stop();
    });

    /** Everything goes on from memory. */
    async function goesOn(): Promise<void> {
      await within(() => a.store.update(unit, add));
      expect((await within(() => a.store.find(unit)))?.notes?.n).toBe(2);
      await within(() => a.store.update(unit, fail('sha256:1')));
      await within(() => a.store.update({ product: 'esp32', unit: 'new' }, add));
      a.ledger.count('esp32', '1.5.0', { offered: 1 });
      b.ledger.count('esp32', '1.5.0', { offered: 1, failed: 1 });
      a.ledger.halt('esp32', '1.6.0', { reason: 'while Redis was away', atMs: 6 });
      for (const { ledger } of [a, b]) expect(ledger.find('esp32', '1.4.0')?.halt?.reason).toBe('too many');
      expect(a.ledger.find('esp32', '1.5.0')?.tally.offered).toBe(11);
      expect(a.ledger.find('esp32', '1.6.0')?.halt).toBeDefined();
      expect(await within(() => a.replicas.claim('esp32', 1_000))).toBe(true);
      expect(a.ledger.take('esp32', '1.5.0', { offers: 5, perMs: 60_000 })).toBe(true);
    }

    /** Everything is caught up, and nothing counts twice. */
    async function isCaughtUp(): Promise<void> {
      const sum = { offered: 12, installed: 0, failed: 1 };
      for (const { ledger, store } of [a, b]) {
        await until(() => ledger.find('esp32', '1.6.0')?.halt !== undefined, 'the halt', 20_000);
        await until(
          () => JSON.stringify(ledger.find('esp32', '1.5.0')?.tally) === JSON.stringify(sum),
          'the sum',
          20_000,
        );
        await until(async () => (await store.find(unit))?.outcome?.digest === 'sha256:1', 'the outcome', 20_000);
        expect((await store.find(unit))?.notes?.n).toBe(2);
        expect(ledger.find('esp32', '1.4.0')?.halt?.reason).toBe('too many');
      }
      await until(async () => (await b.store.counts('esp32')).units === 2, 'the counts', 20_000);
      for (const { ledger } of [a, b]) expect(ledger.find('esp32', '1.5.0')?.tally).toEqual(sum);
    }

    it('by being killed: what is known goes on, and is caught up', async () => {
      await redis.kill();
      await goesOn();
      await redis.launch();
      await isCaughtUp();
    });

    it('by losing its data: halts stay, and are written again', async () => {
      await redis.kill();
      await goesOn();
      const empty = new RealRedis();
      empty.port = redis.port;
      await empty.launch();
      await isCaughtUpAfterLoss();
      const late = await openReplica(empty.url);
      expect(late.ledger.find('esp32', '1.4.0')?.halt?.reason).toBe('too many');
      await closeReplica(late);
      await empty.kill();
      async function isCaughtUpAfterLoss(): Promise<void> {
        for (const { ledger } of [a, b])
          await until(() => ledger.find('esp32', '1.6.0')?.halt !== undefined, 'the halt', 20_000);
        for (const { ledger } of [a, b]) expect(ledger.find('esp32', '1.4.0')?.halt?.reason).toBe('too many');
      }
    });

    it('by standing still: commands without an answer are not made twice', async () => {
      redis.pause();
      await goesOn();
      redis.resume();
      await isCaughtUp();
    });

    it('by cutting connections in the middle of commands', async () => {
      redis.pause();
      const changes = [a.store.update(unit, add), a.store.update(unit, fail('sha256:1'))];
      a.ledger.count('esp32', '1.5.0', { offered: 1 });
      b.ledger.count('esp32', '1.5.0', { offered: 1, failed: 1 });
      a.ledger.halt('esp32', '1.6.0', { reason: 'while Redis was away', atMs: 6 });
      await a.store.update({ product: 'esp32', unit: 'new' }, add);
      await within(() => Promise.all(changes));
      redis.resume();
      const admin = new Redis(redis.port, '127.0.0.1', { maxRetriesPerRequest: null });
      await admin.call('CLIENT', ['KILL', 'TYPE', 'normal']).catch(() => undefined);
      admin.disconnect();
      await isCaughtUp();
    });

    it.each([
      [
        'READONLY, as a replica does',
        (): Promise<unknown> => redis.command('REPLICAOF', '127.0.0.1', '1'),
        (): Promise<unknown> => redis.command('REPLICAOF', 'NO', 'ONE'),
      ],
      [
        'OOM, when its memory is full',
        (): Promise<unknown> => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
        (): Promise<unknown> => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
      ],
      [
        'MISCONF, when it cannot save',
        async (): Promise<unknown> => redis.command('CONFIG', 'SET', 'min-replicas-to-write', '3'),
        (): Promise<unknown> => redis.command('CONFIG', 'SET', 'min-replicas-to-write', '0'),
      ],
      [
        'NOPERM, when its user loses permissions',
        (): Promise<unknown> => redis.command('ACL', 'SETUSER', 'default', '-@write', '-@scripting'),
        (): Promise<unknown> => redis.command('ACL', 'SETUSER', 'default', '+@all'),
      ],
    ])('by answering %s', async (_name, breakIt, mend) => {
      await breakIt();
      await goesOn();
      await mend();
      await isCaughtUp();
    });

    it('by demanding a password that was not given', async () => {
      await redis.command('CONFIG', 'SET', 'requirepass', 'secret-of-redis');
      const kill = new Redis(redis.port, '127.0.0.1', { password: 'secret-of-redis' });
      await kill.call('CLIENT', ['KILL', 'TYPE', 'normal']);
      kill.disconnect();
      await until(() => !a.link.isUp && !b.link.isUp, 'the failure', 20_000);
      await goesOn();
      const admin = new Redis(redis.port, '127.0.0.1', { password: 'secret-of-redis' });
      await admin.call('CONFIG', ['SET', 'requirepass', '']);
      admin.disconnect();
      await isCaughtUp();
    });
  });

  it('start without Redis, and join when it comes', async () => {
    const redis = await new RealRedis().start();
    await redis.kill();
    const early = await openReplica(redis.url);
    early.ledger.count('esp32', '1.5.0', { offered: 1 });
    await early.store.update(unit, add);
    await redis.launch();
    const late = await openReplica(redis.url);
    await until(() => late.ledger.find('esp32', '1.5.0')?.tally.offered === 1, 'the count', 20_000);
    await until(async () => (await late.store.find(unit))?.notes?.n === 1, 'the unit', 20_000);
    await Promise.all([early, late].map(closeReplica));
    await redis.stop();
  });
});
