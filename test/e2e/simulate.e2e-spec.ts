import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../support/cli.js';

const PLAN = `serial: 14
channels:
  stable: { versions: ">=1.0.0 <2.0.0" }
rollouts:
  - version: 1.5.0
    from: ">=1.4.0"
    starts: 2026-11-25T08:00:00Z
    stages:
      - { percent: 1, for: 1d, until: { succeeded: 98%, least: 20 } }
      - { percent: 10, for: 1d }
      - { percent: 50, for: 2d }
    halt: { failed: 5%, least: 20 }
`;

describe('otaflux simulate', () => {
  let folder: string;
  let plan: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'otaflux-'));
    plan = join(folder, 'plan.yaml');
    await writeFile(plan, PLAN);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const simulate = (...args: string[]) => run(['simulate', plan, '--units', '5000', ...args]);

  it('draws the course of a plan in 80 columns, without colours', async () => {
    const { code, stdout, stderr } = await simulate();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toBe('device: 5000 units that run 1.4.0, 10 days from 2026-11-25T08:00:00Z');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/^[\n\x20-\x7e]*$/);
    expect(stdout).toMatch(/^100% \| {29}\.*#+$/m);
    expect(stdout).toContain('2026-11-29T08:00:00Z  1.5.0    all units are offered it');
    expect(lines.at(-1)).toBe('At the end, 5000 run 1.5.0.');
  });

  it('shows that a bad release is halted, and the same each time', async () => {
    const first = await simulate('--fail', '1.5.0=30%', '--silent', '5%');
    expect(first.code).toBe(1);
    expect(first.stdout).toMatch(/ 1\.5\.0 {4}halted: \d+ of \d+ installs failed \([\d.]+%\), the limit is 5%\n/);
    expect(first.stdout).not.toContain('stage 2');
    expect(await simulate('--fail', '1.5.0=30%', '--silent', '5%')).toEqual(first);
    expect((await simulate('--fail', '1.5.0=30%', '--seed', '2')).stdout).not.toBe(first.stdout);
  });

  it('waits for reports that do not come', async () => {
    const { code, stdout } = await simulate('--silent', '100%');
    expect(code).toBe(0);
    expect(stdout).not.toContain('stage 2');
  });

  it('writes the course as CSV', async () => {
    const file = join(folder, 'course.csv');
    const { stdout } = await simulate('--csv', file, '--days', '2');
    expect(stdout).toContain('stage 1 of 3');
    const rows = (await readFile(file, 'utf8')).split('\r\n');
    expect(rows.slice(0, 2)).toEqual([
      'time,version,stage,percent,offered,installed,failed,silent,halted',
      '2026-11-25T08:00:00Z,1.5.0,1,1,0,0,0,0,false',
    ]);
    expect(rows).toHaveLength(51);
    expect((await simulate('--csv', '-', '--days', '2')).stdout).toBe(rows.join('\r\n'));
  });

  it('keeps to rates and windows', async () => {
    const limited = join(folder, 'limited.yaml');
    await writeFile(
      limited,
      `${PLAN}    rate: 100/h\n    window: { from: "01:00", to: "05:00", zone: Europe/Berlin }\n`,
    );
    const { stdout } = await run(['simulate', limited, '--units', '20000', '--days', '6', '--csv', '-']);
    const offered = stdout
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .map((row) => row.split(','))
      .map(([time = '', , , , count]) => ({ hour: Number(time.slice(11, 13)), count: Number(count) }));
    for (const [i, { hour, count }] of offered.entries()) {
      const more = count - (offered[i - 1]?.count ?? 0);
      // Berlin is one hour before UTC: from 00:00 to 04:00.
      expect(more).toBeLessThanOrEqual(hour >= 1 && hour <= 4 ? 101 : 1);
    }
    expect(offered.at(-1)?.count).toBeGreaterThan(1_000);
  });

  it.each([
    [['--units', '0'], '--units: got "0", expected a whole number from 1 to 10000000'],
    [['--poll', 'often'], '--poll: got "often", expected a duration'],
    [['--fail', '8'], '--fail: got "8", expected a percentage from 0% to 100%, such as 5%'],
    [['--fail', '1.5=8%'], '--fail: got "1.5", expected a version such as 1.5.0'],
    [['--channel', 'beta'], '--channel: the plan has no channel "beta". Expected one of stable'],
    [['--days', '3650', '--units', '10000000'], '--units, --days and --poll: so many requests take too long'],
  ])('names what is wrong with %j', async (args, message) => {
    const { code, stderr } = await simulate(...args);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  });

  it('names every problem of a plan with its line', async () => {
    const wrong = join(folder, 'wrong.yaml');
    await writeFile(wrong, PLAN.replace('percent: 10', 'percent: 0').replace('halt:', 'hlat:'));
    const { code, stderr } = await run(['simulate', wrong]);
    expect(code).toBe(2);
    expect(stderr).toContain(
      `${wrong}: line 10, column 20: rollouts[0].stages[1].percent: got "0", expected a percentage`,
    );
    expect(stderr).toContain(`${wrong}: line 12, column 5: rollouts[0]: unknown key "hlat", did you mean halt?`);
  });
});
