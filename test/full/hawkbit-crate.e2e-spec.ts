import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fleet, type UnitState } from '../../src/fleet/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService } from '../support/service.js';

/** The program of test/clients/hawkbit-crate, built by `cargo build`. It takes minutes to build, so CI builds it beside. */
const CLIENT = process.env.HAWKBIT_CLIENT;
const describeWithClient = CLIENT === undefined ? describe.skip : describe;

describeWithClient(`the crate hawkbit${CLIENT === undefined ? ' (skipped: HAWKBIT_CLIENT is not set)' : ''}`, () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let folder: string;
  let child: ChildProcess | undefined;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-crate-'));
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      DDI_DEFAULT_PRODUCT: 'gateway',
      POLL_INTERVAL: '1s',
    });
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await service.stop();
    rmSync(folder, { recursive: true });
    registry.remove('gateway');
  });

  const run = async (outcome: string): Promise<{ code: number | null; lines: string[]; errors: string }> => {
    child = spawn(CLIENT ?? '', [service.url, 'DEFAULT', 'crate-1', 'token', folder, outcome]);
    let output = '';
    let errors = '';
    child.stdout?.on('data', (piece: Buffer) => (output += piece.toString()));
    child.stderr?.on('data', (piece: Buffer) => (errors += piece.toString()));
    const code = await new Promise<number | null>((resolve) => child?.once('close', resolve));
    return { code, lines: output.trim().split('\n'), errors };
  };
  const imageOf = (version: string): Buffer => firmwareBytes(300_000, version);
  const state = async (): Promise<UnitState | undefined> =>
    service.service.get(Fleet).find({ product: 'gateway', unit: 'crate-1' });
  const push = (version: string): unknown => registry.push('gateway', version, imageOf(version));

  it('sends its data, downloads, compares all digests and reports', async () => {
    push('1.0.0');
    const { code, lines, errors } = await run('success');
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['polled', 'config', 'downloaded', 'closed']);
    const [name = ''] = (readdirSync(folder, { recursive: true }) as string[]).filter((path) => /\.\w+$/.test(path));
    expect(readFileSync(join(folder, name)).equals(imageOf('1.0.0'))).toBe(true);
    expect(await state()).toMatchObject({ outcome: { outcome: 'installed' }, attributes: { board: 'h3' } });
  });

  it('reports a failure, and is offered the next release only', async () => {
    push('1.0.0');
    expect((await run('failure')).code).toBe(0);
    expect(await state()).toMatchObject({ outcome: { outcome: 'failed' } });
    push('1.1.0');
    expect((await run('success')).lines.at(-1)).toBe('closed');
    expect(await state()).toMatchObject({ outcome: { outcome: 'installed', version: '1.1.0' } });
  });

  it('goes on after it was switched off, and answers a cancellation', async () => {
    push('1.0.0');
    expect((await run('cut')).lines.at(-1)).toMatch(/^downloaded/);
    push('1.1.0');
    expect((await run('success')).lines.at(-1)).toMatch(/^cancel \d+$/);
    expect((await run('success')).lines.at(-1)).toBe('closed');
    expect(await state()).toMatchObject({ outcome: { outcome: 'installed', version: '1.1.0' } });
  });
});
