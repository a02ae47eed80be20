import { describe, expect, it } from '@jest/globals';
import { until } from '../../test/support/service.js';
import { SingleFlight } from './single-flight.js';

/** Work that goes on until it is told to end. */
class Works {
  readonly begun: string[] = [];
  private readonly ends = new Map<string, () => void>();

  of(key: string): () => Promise<string> {
    return () => {
      this.begun.push(key);
      return new Promise((resolve) => {
        this.ends.set(key, () => {
          resolve(key);
        });
      });
    };
  }

  end(key: string): void {
    this.ends.get(key)?.();
  }
}

describe('SingleFlight', () => {
  it('begins known keys while unknown ones wait', async () => {
    const works = new Works();
    const flights = new SingleFlight<string>({ known: 1, unknown: 1 });
    for (const key of ['made-up-1', 'made-up-2']) void flights.run(key, works.of(key), 'unknown');
    void flights.run('esp32', works.of('esp32'), 'known');
    await until(() => works.begun.length === 2, 'both lanes');
    expect(works.begun).toEqual(['made-up-1', 'esp32']);
  });

  it('does what waits as unknown in its turn as known, once, when it is wanted for another reason', async () => {
    const works = new Works();
    const flights = new SingleFlight<string>({ known: 1, unknown: 1 });
    void flights.run('made-up', works.of('made-up'), 'unknown');
    const first = flights.run('esp32', works.of('esp32'), 'unknown');
    const second = flights.run('esp32', works.of('other'), 'known');
    await until(() => works.begun.includes('esp32'), 'its turn');
    works.end('esp32');
    await expect(Promise.all([first, second])).resolves.toEqual(['esp32', 'esp32']);
    works.end('made-up');
    const later = flights.run('later', works.of('later'), 'unknown');
    await until(() => works.begun.includes('later'), 'the next of its lane');
    works.end('later');
    await later;
    expect(works.begun).toEqual(['made-up', 'esp32', 'later']);
    expect(flights.has('esp32')).toBe(false);
  });

  it('frees the turn of what fails, and does not remember it', async () => {
    const flights = new SingleFlight<string>({ known: 1, unknown: 1 });
    const fail = (): Promise<string> => Promise.reject(new Error('no'));
    const thrown = (): Promise<string> => {
      throw new Error('no');
    };
    await expect(flights.run('a', fail, 'unknown')).rejects.toThrow('no');
    await expect(flights.run('a', thrown, 'unknown')).rejects.toThrow('no');
    await expect(flights.run('a', () => Promise.resolve('yes'), 'unknown')).resolves.toBe('yes');
  });

  it('refuses unknown keys beyond 5,000, and known ones not yet', async () => {
    const works = new Works();
    const flights = new SingleFlight<string>();
    for (let i = 0; i < 16; i++) void flights.run(`first-${i}`, works.of('x'), 'unknown');
    await until(() => works.begun.length === 16, 'those that may begin');
    for (let i = 0; i < 5_000; i++) void flights.run(`made-up-${i}`, works.of('x'), 'unknown');
    await expect(flights.run('one-more', works.of('x'), 'unknown')).rejects.toMatchObject({ code: 'unavailable' });
    void flights.run('esp32', works.of('esp32'), 'known');
    await until(() => works.begun.includes('esp32'), 'the known one');
  });
});
