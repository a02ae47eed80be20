import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashToken } from '../../src/device/access/credentials.js';
import { describeWith, hasProgram } from '../support/real-server.js';
import { FIRST, IMAGES, PRINTED, SampleBench } from '../support/sample-bench.js';
import { Board, buildArduino, buildEspIdf, Chip, imageOf, type SampleDevice } from '../support/sample-clients.js';

const HOUR = 3600;
const bench = new SampleBench();
const { registry, path } = bench;
const arduino = join(bench.folder, 'arduino');
const espIdf = join(bench.folder, 'esp-idf');

interface Sample {
  readonly name: string;
  readonly needs: readonly string[];
  readonly build?: () => void;
  readonly make: () => SampleDevice;
  /** A chip checks again and again; a board's script ends, and its timer starts it anew. */
  readonly isChip: boolean;
}

const samples: Sample[] = [
  ...['dash', 'bash'].filter(hasProgram).map((shell) => ({
    name: `the shell client of docs/devices.md, by ${shell}`,
    needs: ['curl', 'sha256sum'],
    make: () => new Board(PRINTED, FIRST, shell),
    isChip: false,
  })),
  {
    name: 'the Arduino sample',
    needs: ['g++'],
    build: () => {
      buildArduino(arduino);
    },
    make: () => new Chip(arduino, FIRST),
    isChip: true,
  },
  {
    name: 'the ESP-IDF sample',
    needs: ['g++', 'gcc'],
    build: () => {
      buildEspIdf(espIdf);
    },
    make: () => new Chip(espIdf, FIRST),
    isChip: true,
  },
];

beforeAll(() => bench.open());
afterAll(() => bench.close());

describe('docs/devices.md', () => {
  it('prints the shell client of examples/shell', () => {
    const file = fileURLToPath(new URL('../../examples/shell/otaflux-update.sh', import.meta.url));
    expect(PRINTED).toBe(readFileSync(file, 'utf8'));
  });
});

for (const { name, needs, build, make, isChip } of samples) {
  describeWith(needs, name, () => {
    beforeAll(() => build?.());
    beforeEach(() => bench.begin(make()));
    afterEach(() => bench.end());
    /** What a chip does by itself, a board does when its timer starts the script again. */
    const nextRun = async (): Promise<void> => {
      if (!isChip) await bench.run();
    };

    it('installs updates in a row: smaller after larger, and after a rollback the older one and the newer one again', async () => {
      bench.push('1.0.0');
      await bench.run();
      expect(path.downloads).toHaveLength(0);
      for (const version of ['1.1.0', '1.2.0', '2.0.0+build.5'] as const) {
        bench.push(version);
        await bench.run();
        expect(bench.running).toBe(version);
      }
      registry.repository('esp32').tags.delete('2.0.0_build.5');
      await bench.run();
      expect(bench.running).toBe('1.2.0');
      bench.push('2.0.0+build.5');
      await bench.run();
      expect(bench.running).toBe('2.0.0+build.5');
      await bench.run();
      expect(path.downloads).toHaveLength(5);
    });

    it('resumes a download whose connection ends in the middle, twice', async () => {
      bench.push('1.1.0');
      bench.faults({ cutAfter: 70_000 }, { cutAfter: 50_000 });
      const { waits } = await bench.run();
      expect(bench.running).toBe('1.1.0');
      expect(path.downloads.map(({ status, range, bytes }) => ({ status, range, bytes }))).toEqual([
        { status: 200, range: undefined, bytes: 70_000 },
        { status: 206, range: 'bytes=70000-', bytes: 50_000 },
        { status: 206, range: 'bytes=120000-', bytes: 80_000 },
      ]);
      expect(waits.length).toBeGreaterThanOrEqual(2);
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(5);
    });

    it('gives up a download that never gets a byte, and installs it later', async () => {
      bench.push('1.1.0');
      bench.always('/firmware', { cutAfter: 0 });
      await bench.run();
      expect(path.downloads.length).toBeLessThanOrEqual(40);
      expect(bench.running).toBe('1.0.0');
      bench.faults();
      await bench.run();
      expect(bench.running).toBe('1.1.0');
    });

    it('installs nothing from changed bytes, and the update from the next download', async () => {
      bench.push('1.1.0');
      bench.faults({ flipBitAt: 150_000 });
      await bench.run();
      if (!isChip) expect(bench.running).toBe('1.0.0');
      await nextRun();
      expect(path.downloads).toHaveLength(2);
      expect(bench.running).toBe('1.1.0');
    });

    it('keeps the firmware that runs while only changed bytes come', async () => {
      bench.push('1.1.0');
      bench.always('/firmware', { flipBitAt: 199_999 });
      await bench.run();
      await bench.run();
      expect(path.downloads.length).toBeGreaterThanOrEqual(2);
      expect(bench.running).toBe('1.0.0');
    });

    it('downloads nothing when the answer of /version ends in the middle', async () => {
      bench.push('1.1.0');
      // Behind the first digit of the size.
      const lengthOf = (body: string): number => body.indexOf('200000') + 1;
      const text = await (await bench.service?.version('esp32'))?.text();
      const json = await (await bench.service?.version('esp32', { headers: { Accept: 'application/json' } }))?.text();
      bench.always('/version', { cutAfter: lengthOf((isChip ? text : json) ?? '') });
      await bench.run();
      expect(path.passed[0]?.bytes).toBeGreaterThan(10);
      expect(path.downloads).toHaveLength(0);
      expect(bench.running).toBe('1.0.0');
    });

    it('downloads the version that it was offered, though a newer one appears in between', async () => {
      bench.push('1.1.0');
      path.fault = ({ url }) => {
        if (url.startsWith('/firmware') && path.downloads.length === 1) bench.push('1.2.0');
        return undefined;
      };
      await bench.run();
      expect(path.downloads[0]).toMatchObject({ status: 200, bytes: IMAGES['1.1.0'].length });
      await bench.run();
      expect(bench.running).toBe('1.2.0');
    });

    it('installs whole firmware only, though its version is pushed again during an interrupted download', async () => {
      bench.push('1.1.0');
      const replaced = imageOf('1.1.0', 180_000);
      path.fault = async ({ url }) => {
        if (!url.startsWith('/firmware')) return undefined;
        if (path.downloads.length === 1) return { cutAfter: 100_000 };
        bench.push('1.1.0', replaced);
        await bench.service?.versionOf('esp32');
        return undefined;
      };
      await bench.run();
      await nextRun();
      expect(bench.image.equals(replaced)).toBe(true);
    });

    it.each([
      [401, undefined],
      [403, 'other'],
    ])('installs nothing when /version is refused with %d, and asks at its next check', async (status, token) => {
      const tokens = join(bench.folder, 'tokens');
      writeFileSync(tokens, `esp32 sha256:${hashToken('own')}\nelse sha256:${hashToken('other')}\n`);
      await bench.service?.stop();
      await bench.serve({ DEVICE_TOKENS_PATH: tokens });
      bench.push('1.1.0');
      const { waits } = await bench.run(token);
      expect(path.passed.map((request) => request.status)).toEqual([status]);
      if (isChip) expect(waits[0]).toBeGreaterThanOrEqual(HOUR);
      expect(bench.running).toBe('1.0.0');
      await bench.run('own');
      expect(bench.running).toBe('1.1.0');
    });

    it('installs nothing when there is no firmware (404), and asks at its next check', async () => {
      const { waits } = await bench.run();
      expect(path.passed.map(({ status }) => status)).toEqual([404]);
      if (isChip) expect(waits[0]).toBeGreaterThanOrEqual(HOUR);
      bench.push('1.1.0');
      await bench.service?.stop();
      await bench.serve();
      await bench.run();
      expect(bench.running).toBe('1.1.0');
    });

    it('asks again after 503, not before Retry-After has passed', async () => {
      bench.push('1.1.0');
      await bench.service?.stop();
      await bench.serve({ REGISTRY_TIMEOUT: '300ms' });
      await registry.stop();
      path.fault = async () => {
        if (path.passed.length === 2) {
          await registry.start();
          await bench.service?.stop();
          await bench.serve();
        }
        return undefined;
      };
      const { waits } = await bench.run();
      await nextRun();
      expect(path.passed[0]).toMatchObject({ status: 503 });
      if (isChip) expect(waits[0]).toBeGreaterThanOrEqual(5);
      if (isChip) expect(waits[0]).toBeLessThan(60);
      expect(bench.running).toBe('1.1.0');
    });

    it.each([401, 403, 404, 429, 503])(
      'installs nothing when /firmware is refused with %d, and the update later',
      async (refuse) => {
        bench.push('1.1.0');
        bench.faults({ refuse, headers: { 'Retry-After': '5' } });
        const { waits } = await bench.run();
        if (isChip) expect(waits[0]).toBeGreaterThanOrEqual(5);
        else expect(bench.running).toBe('1.0.0');
        await nextRun();
        expect(path.downloads.map(({ status }) => status)).toEqual([refuse, 200]);
        expect(bench.running).toBe('1.1.0');
      },
    );

    it('keeps what it has of a download whose rest is refused with 503', async () => {
      bench.push('1.1.0');
      bench.faults({ cutAfter: 100_000 }, { refuse: 503, headers: { 'Retry-After': '7' } });
      await bench.run();
      await nextRun();
      expect(path.downloads.map(({ status, range }) => ({ status, range }))).toEqual([
        { status: 200, range: undefined },
        { status: 503, range: 'bytes=100000-' },
        { status: 206, range: 'bytes=100000-' },
      ]);
      expect(bench.running).toBe('1.1.0');
    });

    it('asks again when nobody answers, each time after twice as long', async () => {
      bench.push('1.1.0');
      path.fault = () => (path.passed.length <= 3 ? { cutAfter: 0 } : undefined);
      const { waits } = await bench.run();
      if (isChip) expect(waits.slice(0, 3).map((seconds) => Math.floor(seconds / 60))).toEqual([1, 2, 4]);
      for (let i = 0; i < 3; i++) await nextRun();
      expect(bench.running).toBe('1.1.0');
    });
  });
}
