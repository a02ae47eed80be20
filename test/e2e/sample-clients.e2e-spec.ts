import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashToken } from '../../src/device/access/credentials.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { FlakyPath, type Fault } from '../support/flaky-path.js';
import { describeWith, hasProgram } from '../support/real-server.js';
import {
  Board,
  buildArduino,
  buildEspIdf,
  Chip,
  imageOf,
  versionIn,
  type SampleDevice,
} from '../support/sample-clients.js';
import { TestService, type TestOptions } from '../support/service.js';

const HOUR = 3600;
const page = readFileSync(fileURLToPath(new URL('../../docs/devices.md', import.meta.url)), 'utf8');
const printed = /```sh\n(#!\/bin\/sh\n[\s\S]*?)```/.exec(page)?.[1] ?? '';

const images = {
  '1.0.0': imageOf('1.0.0', 90_000),
  '1.1.0': imageOf('1.1.0', 200_000),
  '1.2.0': imageOf('1.2.0', 120_000),
  '2.0.0+build.5': imageOf('2.0.0+build.5', 310_000),
};
type Version = keyof typeof images;
const first = images['1.0.0'];

const programs = mkdtempSync(join(tmpdir(), 'otaflux-samples-'));
const arduino = join(programs, 'arduino');
const espIdf = join(programs, 'esp-idf');
afterAll(() => {
  rmSync(programs, { recursive: true });
});

interface Sample {
  readonly name: string;
  readonly needs: readonly string[];
  readonly build?: () => void;
  readonly start: (image: Buffer) => SampleDevice;
  readonly isChip: boolean;
}

const shells = ['dash', 'bash'].filter((shell) => shell !== 'dash' || hasProgram(shell));
const samples: Sample[] = [
  ...shells.map((shell) => ({
    name: `the shell client of docs/devices.md, by ${shell}`,
    needs: ['curl', 'sha256sum'],
    start: (image: Buffer) => new Board(printed, image, shell),
    isChip: false,
  })),
  {
    name: 'the Arduino sample',
    needs: ['g++'],
    build: () => {
      buildArduino(arduino);
    },
    start: (image) => new Chip(arduino, image),
    isChip: true,
  },
  {
    name: 'the ESP-IDF sample',
    needs: ['g++', 'gcc'],
    build: () => {
      buildEspIdf(espIdf);
    },
    start: (image) => new Chip(espIdf, image),
    isChip: true,
  },
];

const registry = new FakeRegistry();
const path = new FlakyPath();
let service: TestService;
let device: SampleDevice;
const start = async (options: TestOptions = {}): Promise<void> => {
  service = await TestService.start({
    REGISTRY_URL: registry.url,
    REFRESH_INTERVAL: '0',
    REGISTRY_TIMEOUT: '500ms',
    ...options,
  });
};
const push = (version: Version, image = images[version]): void => {
  registry.push('esp32', version.replace('+', '_'), image);
};
const run = (token?: string): ReturnType<SampleDevice['run']> =>
  device.run({ server: path.url, ...(token !== undefined && { token }) });
const running = (): string => versionIn(device.image());
/** One fault for the request of this number to `/firmware`, from 1. */
const faultIn = (faults: Record<number, Fault>): void => {
  path.fault = ({ url }) => (url.startsWith('/firmware') ? faults[path.downloads.length] : undefined);
};

beforeAll(async () => {
  await registry.start();
  await path.start(() => service.port);
});
afterAll(async () => {
  await path.stop();
  await registry.stop();
});
beforeEach(() => {
  registry.remove('esp32');
  path.fault = () => undefined;
  path.passed.length = 0;
});
afterEach(async () => {
  device.remove();
  await service.stop();
});

it('prints the shell client of examples/shell in docs/devices.md', () => {
  device = new Board(printed, first);
  return start().then(() => {
    expect(printed).toBe(
      readFileSync(fileURLToPath(new URL('../../examples/shell/otaflux-update.sh', import.meta.url)), 'utf8'),
    );
  });
});

for (const sample of samples) {
  describeWith(sample.needs, sample.name, () => {
    beforeAll(() => sample.build?.());
    beforeEach(() => {
      device = sample.start(first);
    });

    it('installs four updates in a row, smaller ones after larger ones and older ones after newer ones', async () => {
      await start();
      push('1.0.0');
      await run();
      expect(path.downloads).toHaveLength(0);
      for (const version of ['1.1.0', '1.2.0', '2.0.0+build.5'] as const) {
        push(version);
        await run();
        expect(running()).toBe(version);
        expect(device.image().equals(images[version])).toBe(true);
      }
      registry.repository('esp32').tags.delete('2.0.0_build.5');
      await run();
      expect(device.image().equals(images['1.2.0'])).toBe(true);
      push('2.0.0+build.5');
      await run();
      expect(device.image().equals(images['2.0.0+build.5'])).toBe(true);
      expect(path.downloads).toHaveLength(5);
      await run();
      expect(path.downloads).toHaveLength(5);
    });

    it('resumes a download whose connection ends in the middle, twice', async () => {
      await start();
      push('1.1.0');
      faultIn({ 1: { cutAfter: 70_000 }, 2: { cutAfter: 50_000 } });
      const { waits } = await run();
      expect(device.image().equals(images['1.1.0'])).toBe(true);
      expect(path.downloads.map(({ status, range, bytes }) => ({ status, range, bytes }))).toEqual([
        { status: 200, range: undefined, bytes: 70_000 },
        { status: 206, range: 'bytes=70000-', bytes: 50_000 },
        { status: 206, range: 'bytes=120000-', bytes: 80_000 },
      ]);
      expect(waits.length).toBeGreaterThanOrEqual(2);
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(5);
    });

    it('gives up a download that never ends well, and installs it later', async () => {
      await start();
      push('1.1.0');
      path.fault = ({ url }) => (url.startsWith('/firmware') ? { cutAfter: 0 } : undefined);
      await run();
      expect(running()).toBe('1.0.0');
      path.fault = () => undefined;
      await run();
      expect(device.image().equals(images['1.1.0'])).toBe(true);
    });

    it('installs nothing from changed bytes, and the update later', async () => {
      await start();
      push('1.1.0');
      faultIn({ 1: { flipBitAt: 150_000 } });
      await run();
      if (!sample.isChip) {
        expect(device.image().equals(first)).toBe(true);
        await run();
      }
      expect(path.downloads.length).toBe(2);
      expect(device.image().equals(images['1.1.0'])).toBe(true);
    });

    it('keeps what runs while only changed bytes come', async () => {
      await start();
      push('1.1.0');
      path.fault = ({ url }) => (url.startsWith('/firmware') ? { flipBitAt: 199_999 } : undefined);
      await run();
      await run();
      expect(path.downloads.length).toBeGreaterThanOrEqual(2);
      expect(device.image().equals(first)).toBe(true);
    });

    it('installs nothing when /version is cut in the middle of the size', async () => {
      await start();
      push('1.1.0');
      path.fault = ({ url }) => (url.startsWith('/version') ? { cutAfter: url.includes('json') ? 60 : 19 } : undefined);
      await run();
      expect(path.downloads).toHaveLength(0);
      expect(device.image().equals(first)).toBe(true);
    });

    it('gets the version that it was offered, though a newer one appears before the download', async () => {
      await start();
      push('1.1.0');
      path.fault = ({ url }) => {
        if (url.startsWith('/firmware') && path.downloads.length === 1) push('1.2.0');
        return undefined;
      };
      await run();
      expect(path.downloads[0]).toMatchObject({ status: 200, bytes: images['1.1.0'].length });
      await run();
      expect(device.image().equals(images['1.2.0'])).toBe(true);
    });

    it('installs whole firmware only, though the version is pushed again during an interrupted download', async () => {
      await start();
      push('1.1.0');
      const replaced = imageOf('1.1.0', 180_000);
      path.fault = async ({ url }) => {
        if (!url.startsWith('/firmware')) return undefined;
        if (path.downloads.length === 1) return { cutAfter: 100_000 };
        push('1.1.0', replaced);
        await service.versionOf('esp32');
        return undefined;
      };
      await run();
      await run();
      expect(device.image().equals(replaced)).toBe(true);
    });

    it.each([
      [401, undefined],
      [403, 'other'],
    ])('installs nothing when /version is refused with %d, and asks again later', async (status, token) => {
      const tokens = join(programs, 'tokens');
      writeFileSync(tokens, `esp32 sha256:${hashToken('own')}\nelse sha256:${hashToken('other')}\n`);
      await start({ DEVICE_TOKENS_PATH: tokens });
      push('1.1.0');
      const { waits } = await run(token);
      expect(path.passed.map((request) => request.status)).toEqual([status]);
      if (sample.isChip) expect(waits).toEqual([expect.any(Number)]);
      if (sample.isChip) expect(waits[0]).toBeGreaterThanOrEqual(HOUR);
      expect(device.image().equals(first)).toBe(true);
      await run('own');
      expect(device.image().equals(images['1.1.0'])).toBe(true);
    });

    it('installs nothing when there is no firmware (404), and asks again later', async () => {
      await start();
      await run();
      expect(path.passed.map(({ status }) => status)).toEqual([404]);
      push('1.1.0');
      await service.stop();
      await start();
      await run();
      expect(device.image().equals(images['1.1.0'])).toBe(true);
    });

    it('comes back after 503 with Retry-After, not earlier', async () => {
      push('1.1.0');
      await start();
      await registry.stop();
      let isBack = false;
      path.fault = async () => {
        if (path.passed.length < 2 || isBack) return undefined;
        isBack = true;
        await registry.start();
        await service.stop();
        await start();
        return undefined;
      };
      const { waits } = await run();
      expect(path.passed[0]).toMatchObject({ status: 503 });
      if (sample.isChip) expect(waits[0]).toBeGreaterThanOrEqual(5);
      if (sample.isChip) expect(waits[0]).toBeLessThan(60);
      else await run();
      expect(device.image().equals(images['1.1.0'])).toBe(true);
    });

    it.each([401, 403, 404, 429, 503])(
      'installs nothing when /firmware is refused with %d, and the update later',
      async (refuse) => {
        await start();
        push('1.1.0');
        faultIn({ 1: { refuse, headers: { 'Retry-After': '5' } } });
        const { waits } = await run();
        if (!sample.isChip) {
          expect(device.image().equals(first)).toBe(true);
          await run();
        } else expect(waits[0]).toBeGreaterThanOrEqual(5);
        expect(path.downloads.map(({ status }) => status)).toEqual([refuse, 200]);
        expect(device.image().equals(images['1.1.0'])).toBe(true);
      },
    );

    it('keeps the rest of a download that is refused in its middle, and installs the update', async () => {
      await start();
      push('1.1.0');
      faultIn({ 1: { cutAfter: 100_000 }, 2: { refuse: 503, headers: { 'Retry-After': '7' } } });
      await run();
      if (!sample.isChip) await run();
      expect(path.downloads.map(({ status, range }) => ({ status, range }))).toEqual([
        { status: 200, range: undefined },
        { status: 503, range: 'bytes=100000-' },
        { status: 206, range: 'bytes=100000-' },
      ]);
      expect(device.image().equals(images['1.1.0'])).toBe(true);
    });

    it('asks again when nobody answers', async () => {
      await start();
      push('1.1.0');
      const { waits } = await device.run({ server: 'http://127.0.0.1:9' });
      if (sample.isChip) expect(waits.slice(0, 3).map((seconds) => Math.floor(seconds / 60))).toEqual([1, 2, 4]);
      await run();
      expect(device.image().equals(images['1.1.0'])).toBe(true);
    });
  });
}

describeWith(['g++', 'gcc'], 'the samples for chips', () => {
  beforeAll(() => {
    buildArduino(arduino);
    buildEspIdf(espIdf);
  });
  const chips = [
    ['Arduino', arduino],
    ['ESP-IDF', espIdf],
  ] as const;

  it.each(chips)('%s: confirms each update once it works, so that the next reset keeps it', async (_name, program) => {
    device = new Chip(program, first);
    await start();
    push('1.1.0');
    expect((await run()).starts).toBe(2);
    const { output, starts } = await run();
    expect({ starts, boot: /^boot (.*)$/m.exec(output)?.[1] }).toEqual({ starts: 1, boot: 'ota_1 1.1.0' });
  });

  it.each(chips)(
    '%s: returns from an image that does not work, and does not install it again',
    async (_name, program) => {
      device = new Chip(program, first);
      await start();
      registry.push('esp32', '1.1.0-broken', imageOf('1.1.0-broken', 100_000));
      const { output } = await run();
      expect(output).toContain('boot ota_1 1.1.0-broken');
      expect(running()).toBe('1.0.0');
      await run();
      expect(path.downloads).toHaveLength(1);
      push('1.2.0');
      await run();
      expect(device.image().equals(images['1.2.0'])).toBe(true);
    },
  );

  it.each(chips)(
    '%s: does not install an image again and again that calls itself another version',
    async (_name, program) => {
      device = new Chip(program, first);
      await start();
      registry.push('esp32', '1.1.0', imageOf('1.0.0', 100_000));
      await run();
      expect(path.downloads).toHaveLength(1);
      push('1.2.0');
      await run();
      expect(device.image().equals(images['1.2.0'])).toBe(true);
    },
  );

  it.each(chips)('%s: does not begin to download what is larger than its slot', async (_name, program) => {
    device = new Chip(program, first, 199_999);
    await start();
    push('1.1.0');
    await run();
    expect(path.downloads).toHaveLength(0);
    expect(device.image().equals(first)).toBe(true);
  });
});

describeWith(['curl', 'sha256sum'], 'the shell client', () => {
  let board: Board;
  beforeEach(() => {
    device = board = new Board(printed, first);
  });

  it('tries three times to install what does not come to run, and then waits for another version', async () => {
    await start();
    push('1.1.0');
    board.install = 'exit 3';
    for (let tries = 0; tries < 5; tries++) await run();
    expect(path.downloads).toHaveLength(1);
    const { output } = await run();
    expect(output).toContain('version 1.1.0 was installed 3 times, but 1.0.0 is running: giving up');
    board.install = new Board(printed, first).install;
    push('1.2.0');
    await run();
    expect(board.image().equals(images['1.2.0'])).toBe(true);
  });

  it('leaves nothing behind once the version runs', async () => {
    await start();
    push('1.1.0');
    faultIn({ 1: { cutAfter: 10 }, 2: { refuse: 503 } });
    await run();
    expect(board.leftovers()).toHaveLength(1);
    await run();
    await run();
    expect(board.leftovers()).toEqual([]);
  });
});
