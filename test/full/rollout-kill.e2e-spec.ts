import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cli } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { unitsBetween } from '../support/shares.js';

const PRODUCT = 'esp32';
const PLAN = `
serial: 1
channels: { stable: { versions: ">=1.0.0" } }
rollouts:
  - version: 1.1.0
    starts: ${new Date(Date.now() - 3_600_000).toISOString()}
    stages: [{ percent: 50, for: 300d }]
    halt: { failed: 10%, least: 3 }
`;

describe.each(['STATE_DIR', 'CACHE_DIR'])(
  'a server with %s that is killed as soon as it has halted a rollout',
  (option) => {
    const registry = new FakeRegistry();
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-rollout-kill-'));
    const [next = '', ...failing] = unitsBetween(PRODUCT, '1.1.0', 0, 50, 4);
    let server: Cli | undefined;

    beforeAll(async () => {
      await registry.start();
      for (const version of ['1.0.0', '1.1.0']) registry.push(PRODUCT, version, Buffer.from(version));
      pushPlan(registry, PRODUCT, PLAN);
    });
    afterEach(async () => {
      server?.kill('SIGKILL');
      await server?.finished;
    });
    afterAll(async () => {
      await registry.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    const start = async (state: string): Promise<{ started: Cli; url: string }> => {
      const started = new Cli(
        ['--log-format', 'json', '--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
        { REGISTRY_URL: registry.url, [option]: state },
      );
      server = started;
      return { started, url: `http://127.0.0.1:${await started.port()}` };
    };
    const offered = async (url: string, unit: string): Promise<string | undefined> =>
      (await (await fetch(`${url}/version?device=${PRODUCT}&unit=${unit}`)).text()).split('\n')[0];

    // The moment of the kill falls into another step of the writes each time.
    it.each([1, 2, 3, 4, 5])('has halted it after the restart, too (%i)', async (turn) => {
      const state = join(folder, `state-${turn}`);
      const { started, url } = await start(state);
      for (const unit of failing) {
        expect(await offered(url, unit)).toBe('1.1.0');
        const report = await fetch(`${url}/report?device=${PRODUCT}&unit=${unit}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ version: '1.1.0', outcome: 'failed' }),
        });
        expect(report.status).toBe(204);
      }
      await started.event('rollout.halted');
      started.kill('SIGKILL');
      await started.finished;
      const again = await start(state);
      expect(await offered(again.url, next)).toBe('1.0.0');
    });
  },
);
