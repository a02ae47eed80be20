import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../test/support/fake-clock.js';
import { FleetMeter, MetricsRegistry } from '../metrics/index.js';
import { parseSettings } from '../config/index.js';
import { Fleet } from './fleet.js';
import { MemoryFleetStore } from './memory-fleet-store.js';

const HOUR = 3_600_000;
const unit = { product: 'esp32', unit: 'a' };
const release = (version: string, digest = `sha256:${version}`): { version: string; manifestDigest: string } => ({
  version,
  manifestDigest: digest,
});

describe('the times of a unit', () => {
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  let fleet: Fleet;

  beforeEach(() => {
    const settings = parseSettings({ REGISTRY_URL: { value: 'oci:.', where: 'test' } });
    fleet = new Fleet(new MemoryFleetStore(), clock, new FleetMeter(new MetricsRegistry()), settings);
  });
  afterEach(() => fleet.onApplicationShutdown());

  it('are those of the wall clock: first seen, last seen, offered, ended', async () => {
    fleet.seen({ ...unit, running: '1.0.0' }, 'native');
    fleet.offered({ ...unit, running: '1.0.0' }, 'native', release('1.1.0'));
    await fleet.flush();
    clock.advance(HOUR);
    fleet.offered({ ...unit, running: '1.0.0' }, 'native', release('1.1.0'));
    await fleet.flush();
    clock.advance(HOUR);
    await fleet.report(unit, 'native', { outcome: 'failed', message: 'no space' });
    expect(await fleet.find(unit)).toMatchObject({
      firstSeenMs: startMs,
      lastSeenMs: startMs + 2 * HOUR,
      // The same offer again is no new one; a moved tag is.
      offer: { version: '1.1.0', atMs: startMs },
      outcome: { outcome: 'failed', atMs: startMs + 2 * HOUR },
    });
    fleet.offered(unit, 'native', release('1.1.0', 'sha256:moved'));
    await fleet.flush();
    expect(await fleet.find(unit)).toMatchObject({ offer: { digest: 'sha256:moved', atMs: startMs + 2 * HOUR } });
  });

  it('do not go back with the clock', async () => {
    const nowMs = clock.nowMs();
    fleet.seen(unit, 'native');
    await fleet.flush();
    clock.advance(-24 * HOUR);
    fleet.seen({ ...unit, running: '1.0.0' }, 'native');
    await fleet.flush();
    expect(await fleet.find(unit)).toMatchObject({ firstSeenMs: nowMs, lastSeenMs: nowMs, running: '1.0.0' });
  });
});
