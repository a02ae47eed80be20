import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../test/support/fake-clock.js';
import { parseSettings } from '../config/index.js';
import { FleetMeter, MetricsRegistry } from '../metrics/index.js';
import { Fleet } from './fleet.js';
import { MemoryFleetStore } from './memory-fleet-store.js';
import type { UnitChanged, UnitEvent } from './unit-event.js';

const unit = { product: 'esp32', unit: 'a' };
const release = { version: '1.1.0', manifestDigest: 'sha256:1' };
const moved = { version: '1.1.0', manifestDigest: 'sha256:2' };

describe('a unit that downloads a release completely', () => {
  let fleet: Fleet;
  let events: UnitEvent[];
  let changes: UnitChanged[];

  beforeEach(() => {
    const settings = parseSettings({ REGISTRY_URL: { value: 'oci:.', where: 'test' } });
    fleet = new Fleet(new MemoryFleetStore(), new FakeClock(), new FleetMeter(new MetricsRegistry()), settings);
    events = [];
    changes = [];
    fleet.events.subscribe((event) => events.push(event));
    fleet.changes.subscribe((change) => changes.push(change));
  });
  afterEach(() => fleet.onApplicationShutdown());

  const ask = (running?: string): void => {
    fleet.seen({ ...unit, running }, 'native');
  };
  const download = (what = release): void => {
    fleet.offered({ ...unit, running: '1.0.0' }, 'native', what);
    fleet.downloading({ ...unit, running: '1.0.0' }, 'native', what);
    fleet.downloaded({ ...unit, running: '1.0.0' }, 'native', what);
  };
  const ends = (): UnitEvent[] => events.filter(({ kind }) => kind === 'failed' || kind === 'installed');
  const outcome = async (): Promise<string | undefined> => {
    await fleet.flush();
    return (await fleet.find(unit))?.outcome?.outcome;
  };

  it('has failed to install it when it comes back for the third time running something else', async () => {
    for (let i = 0; i < 3; i++) {
      ask('1.0.0');
      download();
      if (i === 1) await fleet.flush();
      expect(await outcome()).toBeUndefined();
    }
    ask('1.0.0');
    expect(await outcome()).toBe('failed');
    expect(ends()).toEqual([
      expect.objectContaining({
        kind: 'failed',
        version: '1.1.0',
        digest: 'sha256:1',
        before: undefined,
        message: 'it came back running 1.0.0 3 times after it had downloaded 1.1.0 completely',
      }),
    ]);
    // The same unit is not counted again, and everything that changed was told once, in order.
    ask('1.0.0');
    await fleet.flush();
    expect(ends()).toHaveLength(1);
    for (const [i, { before }] of changes.entries()) expect(before).toBe(changes[i - 1]?.after);
    expect(changes.filter(({ before, after }) => before?.offer?.digest !== after?.offer?.digest)).toHaveLength(1);
  });

  it('is counted once for each download, however often it asks', async () => {
    download();
    for (let i = 0; i < 10; i++) {
      ask('1.0.0');
      await fleet.flush();
    }
    download();
    // A second request for the bytes, and one that does not say what runs, are no return.
    fleet.downloading({ ...unit, running: '1.0.0' }, 'native', release);
    await fleet.flush();
    fleet.downloading({ ...unit, running: '1.0.0' }, 'native', release);
    ask();
    await fleet.flush();
    expect(await fleet.find(unit)).toMatchObject({ downloaded: { returns: 1, isPending: true } });
  });

  it('begins anew when it runs the release, and with another release', async () => {
    for (let i = 0; i < 2; i++) {
      download();
      ask('1.0.0');
    }
    download();
    ask('v1.1.0');
    expect(await outcome()).toBe('installed');
    expect((await fleet.find(unit))?.downloaded).toBeUndefined();
    ask('1.0.0');
    for (const what of [release, release, moved, moved, release]) {
      download(what);
      ask('1.0.0');
    }
    expect(await outcome()).toBe('installed');
    expect(await fleet.find(unit)).toMatchObject({ downloaded: { digest: 'sha256:1', returns: 1 } });
  });

  it('counts as failed if it has reported that it installed it, but always comes back without it', async () => {
    for (let i = 0; i < 3; i++) {
      download();
      await fleet.report(unit, 'native', { outcome: 'installed' });
      await fleet.report(unit, 'native', { running: '1.0.0' });
    }
    expect(await outcome()).toBe('failed');
    expect(ends().at(-1)).toMatchObject({
      kind: 'failed',
      digest: 'sha256:1',
      before: { outcome: 'installed', version: '1.1.0', digest: 'sha256:1' },
    });
  });

  it('begins anew after a report of a failure, and when an operator lets it try again', async () => {
    for (let i = 0; i < 2; i++) {
      download();
      ask('1.0.0');
    }
    await fleet.report(unit, 'native', { outcome: 'failed', message: 'no space' });
    expect((await fleet.find(unit))?.downloaded).toBeUndefined();
    download();
    ask('1.0.0');
    await fleet.retry(unit);
    const state = await fleet.find(unit);
    expect([state?.downloaded, state?.outcome]).toEqual([undefined, undefined]);
    expect(changes.at(-1)).toMatchObject({ before: { outcome: { outcome: 'failed' } }, after: { retries: 1 } });
  });

  it('says nothing without a unit', async () => {
    fleet.downloaded({ product: 'esp32', running: '1.0.0' }, 'native', release);
    await fleet.flush();
    expect(await fleet.list('esp32', undefined, 10)).toEqual([]);
  });
});
