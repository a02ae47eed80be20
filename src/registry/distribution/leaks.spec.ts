import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import type { Readable } from 'node:stream';
import { FakeRegistry } from '../../../test/support/fake-registry.js';
import { until } from '../../../test/support/service.js';
import { parseSettings } from '../../config/index.js';
import { createRegistry, type Registry } from '../index.js';

const REQUESTS = 320;
const AT_ONCE = 16;

/** What `AbortSignal.any` notes at a signal for every one that is made of it, and on Node 20 and 22 never removes. */
function dependants(signal: AbortSignal): number {
  const key = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'kDependantSignals');
  const noted = key && (signal as unknown as Record<symbol, Set<unknown> | undefined>)[key];
  return noted?.size ?? 0;
}

describe('The registry client', () => {
  const shutdown = new AbortController();
  const firmware = Buffer.alloc(300_000, 'firmware');
  let fake: FakeRegistry;
  let registry: Registry;

  beforeAll(async () => {
    fake = await new FakeRegistry().start();
    fake.push('esp32', '1.0.0', firmware);
    const given = { REGISTRY_URL: { value: fake.url, where: '' }, REGISTRY_TIMEOUT: { value: '10m', where: '' } };
    registry = await createRegistry(parseSettings(given));
  });
  afterAll(async () => {
    await registry.close();
    await fake.stop();
  });

  const blob = (): { mediaType: string; digest: `sha256:${string}`; size: number } => ({
    mediaType: 'application/octet-stream',
    digest: fake.putBlob('esp32', firmware) as `sha256:${string}`,
    size: firmware.length,
  });
  const open = (): Promise<Readable> => registry.fetchBlob('esp32', blob(), shutdown.signal);

  async function repeat(count: number, ask: () => Promise<unknown>): Promise<void> {
    for (let done = 0; done < count; done += AT_ONCE) {
      fake.seen.length = 0;
      await Promise.all(Array.from({ length: AT_ONCE }, () => ask().catch(() => undefined)));
    }
  }

  const listeners = (): number => getEventListeners(shutdown.signal, 'abort').length;

  it.each<[string, number, () => Promise<unknown>]>([
    ['tags', REQUESTS, () => registry.listTags('esp32', shutdown.signal)],
    ['a repository that is not there', REQUESTS, () => registry.listTags('nope', shutdown.signal)],
    ['a descriptor by HEAD', REQUESTS, () => registry.resolve('esp32', '1.0.0', shutdown.signal)],
    [
      'referrers that are not there',
      REQUESTS,
      () => registry.listReferrers('esp32', blob().digest, undefined, shutdown.signal),
    ],
    ['a ping', REQUESTS, () => registry.ping(shutdown.signal)],
    [
      'a blob, read to its end',
      REQUESTS / 4,
      async () => {
        await (await open()).toArray();
      },
    ],
    [
      'a blob that is left in the middle',
      REQUESTS / 4,
      async () => {
        for await (const piece of await open()) if (piece) break;
      },
    ],
    [
      'a blob that is never read',
      REQUESTS / 4,
      async () => {
        (await open()).destroy();
      },
    ],
  ])('leaves nothing at the signal of the shutdown after asking for %s', async (_name, count, ask) => {
    await repeat(count, ask);
    await until(() => listeners() === 0, `the last of ${listeners()} listeners`);
    expect(dependants(shutdown.signal)).toBe(0);
  });

  it('is what leaves nothing: the same by AbortSignal.any would be seen', () => {
    const { signal } = new AbortController();
    expect(dependants(signal)).toBe(0);
    const made = AbortSignal.any([signal, new AbortController().signal]);
    expect(dependants(signal)).toBe(1);
    expect(made.aborted).toBe(false);
  });
});
