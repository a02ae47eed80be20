import { describe, expect, it } from '@jest/globals';
import { RecentUnits } from './recent-units.js';

describe('what is remembered of units', () => {
  it('belongs to a release, a product and a unit', () => {
    const recent = new RecentUnits<number>(10);
    recent.set('1.0.0', 'esp32', 'SN-1', 5);
    expect(recent.get('1.0.0', 'esp32', 'SN-1')).toBe(5);
    expect(recent.get('1.0.1', 'esp32', 'SN-1')).toBeUndefined();
    expect(recent.get('1.0.0', 'esp8266', 'SN-1')).toBeUndefined();
    expect(recent.get('1.0.0', 'esp32', 'SN-2')).toBeUndefined();
    recent.set('1.0.0', 'esp32', 'SN-1', 6);
    expect(recent.get('1.0.0', 'esp32', 'SN-1')).toBe(6);
  });

  it('is bounded, and the last ones are kept', () => {
    const recent = new RecentUnits<number>(100);
    const units = Array.from({ length: 10_000 }, (_, i) => `SN-${i}`);
    for (const [i, unit] of units.entries()) recent.set(`1.0.${i % 3}`, 'esp32', unit, i);
    const kept = units.filter((unit, i) => recent.get(`1.0.${i % 3}`, 'esp32', unit) === i);
    expect(kept.length).toBeGreaterThanOrEqual(100);
    expect(kept.length).toBeLessThanOrEqual(200);
    expect(kept).toEqual(units.slice(-kept.length));
  });
});
