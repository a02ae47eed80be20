import { describe, expect, it } from '@jest/globals';
import { busiestTurnMs } from '../../test/support/cpu.js';
import { parseSettings } from '../config/index.js';
import { MetricsRegistry } from './metrics-registry.js';
import type { DeviceSample } from './busiest-devices.js';
import { ReleaseMeter } from './release-meter.js';

const DEVICES = 100_000;

function scraped(samples: () => Iterable<DeviceSample>, devices?: string): MetricsRegistry {
  const metrics = new MetricsRegistry();
  const given = {
    REGISTRY_URL: { value: 'http://127.0.0.1', where: '' },
    ...(devices !== undefined && { METRICS_DEVICES: { value: devices, where: '' } }),
  };
  new ReleaseMeter(metrics, parseSettings(given)).observe(
    samples,
    () => 0,
    () => 0,
    () => 0,
  );
  return metrics;
}

const sample = (device: string, hits: number, misses = 0): DeviceSample => ({
  device,
  hits,
  misses,
  ageSeconds: 1,
  planSerial: undefined,
});

function series(text: string, name: string): Map<string, number> {
  const found = [...text.matchAll(/^(\w+)\{device_id="([^"]+)"\} (\S+)$/gm)].filter(([, metric]) => metric === name);
  return new Map(found.map(([, , device = '', value]) => [device, Number(value)]));
}

function* fleet(hits: (i: number) => number): Iterable<DeviceSample> {
  for (let i = 0; i < DEVICES; i++) yield sample(`line-${i % 100}/sensor-${i}`, hits(i), i % 7);
}

/** What a scrape would write without a limit. */
function everySeries(samples: Iterable<DeviceSample>): string {
  const lines: string[] = [];
  for (const { device, hits, misses, ageSeconds } of samples)
    lines.push(
      `firmware_cache_hit_total{device_id=${JSON.stringify(device)}} ${hits}`,
      `firmware_cache_miss_total{device_id=${JSON.stringify(device)}} ${misses}`,
      `otaflux_release_age_seconds{device_id=${JSON.stringify(device)}} ${ageSeconds}`,
    );
  return lines.join('\n');
}

describe('The series of devices', () => {
  it.each([
    ['all asked for alike', () => 5],
    ['none asked for', () => 0],
    ['each asked for differently', (i: number) => (i * 7919) % DEVICES],
  ])(`block the loop for less time than the series of all ${DEVICES} devices would, %s`, async (_name, hits) => {
    const metrics = scraped(() => fleet(hits));
    let text = '';
    // Compared with work of the same size in the same run, because machines differ, and are busy at times.
    const ratios: number[] = [];
    for (let i = 0; i < 3; i++) {
      const scrapeMs = await busiestTurnMs(async () => (text = await metrics.metrics()));
      const seriesOfAllMs = await busiestTurnMs(() => Promise.resolve(everySeries(fleet(hits))));
      ratios.push(scrapeMs / seriesOfAllMs);
    }
    expect(Math.min(...ratios)).toBeLessThan(1);
    expect(series(text, 'firmware_cache_hit_total').size).toBe(1_000);
    expect(series(text, 'otaflux_release_age_seconds').size).toBe(1_000);
  });

  it('are those of the devices that are asked for most', async () => {
    const metrics = scraped(() => [sample('a', 1), sample('b', 9), sample('c', 3, 7), sample('d', 0)], '2');
    const text = await metrics.metrics();
    expect(series(text, 'firmware_cache_hit_total')).toEqual(
      new Map([
        ['b', 9],
        ['c', 3],
      ]),
    );
    expect(series(text, 'firmware_cache_miss_total')).toEqual(
      new Map([
        ['b', 0],
        ['c', 7],
      ]),
    );
    expect([...series(text, 'otaflux_release_age_seconds').keys()].sort()).toEqual(['b', 'c']);
  });

  it('stay those of the same devices while others are asked for as much', async () => {
    let devices = ['a', 'b', 'c', 'd'];
    let nowMs = 0;
    const metrics = scraped(() => devices.map((device) => sample(device, 1)), '2');
    const before = [...series(await metrics.metrics(), 'firmware_cache_hit_total').keys()];
    devices = devices.reverse();
    while (nowMs++ < 5) await new Promise((resolve) => setTimeout(resolve, 15));
    expect([...series(await metrics.metrics(), 'firmware_cache_hit_total').keys()].sort()).toEqual(before.sort());
  });

  it('are none with METRICS_DEVICES=0, and all of a small fleet', async () => {
    expect(series(await scraped(() => [sample('a', 1)], '0').metrics(), 'firmware_cache_hit_total').size).toBe(0);
    expect(series(await scraped(() => [sample('a', 1)]).metrics(), 'firmware_cache_hit_total').size).toBe(1);
  });
});
