import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { describeWith } from '../support/real-server.js';
import { FIRST, PRINTED, SampleBench } from '../support/sample-bench.js';
import { Board, buildArduino, buildEspIdf, Chip, imageOf } from '../support/sample-clients.js';

const bench = new SampleBench();
const { registry, path } = bench;

beforeAll(() => bench.open());
afterAll(() => bench.close());
afterEach(() => bench.end());

describeWith(['g++', 'gcc'], 'the samples for chips', () => {
  const chips = [
    ['Arduino', join(bench.folder, 'arduino')],
    ['ESP-IDF', join(bench.folder, 'esp-idf')],
  ] as const;
  beforeAll(() => {
    buildArduino(chips[0][1]);
    buildEspIdf(chips[1][1]);
  });

  it.each(chips)('%s: confirms an update once it works, so that the next reset keeps it', async (_name, program) => {
    await bench.begin(new Chip(program, FIRST));
    bench.push('1.1.0');
    expect((await bench.run()).starts).toBe(2);
    const { output, starts } = await bench.run();
    expect({ starts, boot: /^boot (.*)$/m.exec(output)?.[1] }).toEqual({ starts: 1, boot: 'ota_1 1.1.0' });
  });

  it.each(chips)(
    '%s: returns from an image that does not work, and does not install it again',
    async (_name, program) => {
      await bench.begin(new Chip(program, FIRST));
      registry.push('esp32', '1.1.0-broken', imageOf('1.1.0-broken', 100_000));
      const { output } = await bench.run();
      expect(output).toContain('boot ota_1 1.1.0-broken');
      expect(bench.running).toBe('1.0.0');
      await bench.run();
      expect(path.downloads).toHaveLength(1);
      bench.push('1.2.0');
      await bench.run();
      expect(bench.running).toBe('1.2.0');
    },
  );

  it.each(chips)(
    '%s: does not install an image again and again that was built with another version',
    async (_name, program) => {
      await bench.begin(new Chip(program, FIRST));
      registry.push('esp32', '1.1.0', imageOf('1.0.0', 100_000));
      await bench.run();
      expect(path.downloads).toHaveLength(1);
      bench.push('1.2.0');
      await bench.run();
      expect(bench.running).toBe('1.2.0');
    },
  );

  it.each(chips)('%s: does not download what is larger than its slot', async (_name, program) => {
    await bench.begin(new Chip(program, FIRST, 199_999));
    bench.push('1.1.0');
    await bench.run();
    expect(path.downloads).toHaveLength(0);
    expect(bench.running).toBe('1.0.0');
  });

  it.each(chips)('%s: goes on with the firmware that runs when the file is no image', async (_name, program) => {
    await bench.begin(new Chip(program, FIRST));
    registry.push('esp32', '1.1.0', Buffer.alloc(50_000, 'text'));
    await bench.run();
    expect(bench.running).toBe('1.0.0');
  });
});

describeWith(['curl', 'sha256sum'], 'the shell client', () => {
  it('tries three times to install what does not come to run, and then waits for another version', async () => {
    const board = new Board(PRINTED, FIRST);
    await bench.begin(board);
    bench.push('1.1.0');
    board.failInstalls(true);
    for (let tries = 0; tries < 5; tries++) await bench.run();
    expect(path.downloads).toHaveLength(1);
    const { output } = await bench.run();
    expect(output).toContain('version 1.1.0 was installed 3 times, but 1.0.0 is running: giving up');
    board.failInstalls(false);
    bench.push('1.2.0');
    await bench.run();
    expect(bench.running).toBe('1.2.0');
  });

  it('leaves nothing behind once the version runs', async () => {
    const board = new Board(PRINTED, FIRST);
    await bench.begin(board);
    bench.push('1.1.0');
    bench.faults({ cutAfter: 10 }, { refuse: 503 });
    await bench.run();
    expect(board.leftovers()).toHaveLength(1);
    await bench.run();
    await bench.run();
    expect(board.leftovers()).toEqual([]);
  });
});
