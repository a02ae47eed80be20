import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { freePort } from '../support/real-server.js';
import { FakeRegistry } from '../support/fake-registry.js';

const image = firmwareBytes(300_000, 'image');
const MOMENTS = 50;

/** When the server is killed, seen from the request: before it, when it was sent, with its headers, after its body. */
const PHASES = ['before', 'sent', 'turned', 'later', 'headers', 'answered'] as const;
/** Of a life without a kill. */
const REQUESTS = 9;

describe('a DDI life while the server is killed', () => {
  const registry = new FakeRegistry();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-ddi-kill-'));
  let server: Cli;
  let url = '';
  let management = '';

  beforeAll(async () => {
    await registry.start();
    registry.push('gateway', '1.0.0', image);
  });
  afterAll(async () => {
    server.kill('SIGKILL');
    await server.finished;
    await registry.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (): Promise<void> => {
    const port = await freePort();
    management = `http://127.0.0.1:${port}`;
    server = new Cli(
      ['--log-format', 'json', '--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', `127.0.0.1:${port}`],
      { REGISTRY_URL: registry.url, STATE_DIR: join(folder, 'state'), CACHE_DIR: join(folder, 'cache') },
    );
    url = `http://127.0.0.1:${await server.port()}`;
  };
  const kill = (): void => {
    server.kill('SIGKILL');
  };

  /** A unit that begins again from its poll whenever something fails, as rauc-hawkbit-updater does. */
  class Unit {
    readonly ids = new Set<string>();
    readonly acknowledged: string[] = [];
    requests = 0;

    constructor(
      readonly name: string,
      private readonly killAt: number,
      private readonly phase: (typeof PHASES)[number],
    ) {}

    async live(): Promise<void> {
      const { _links: links = {} } = (await this.json('GET', '')) as { _links?: Record<string, { href: string }> };
      if (links.configData) await this.json('PUT', '/configData', { mode: 'merge', data: { board: 'h3' } });
      if (!links.deploymentBase) return;
      const id = new URL(links.deploymentBase.href).pathname.split('/').at(-1) ?? '';
      this.ids.add(id);
      const { deployment } = (await this.json('GET', `/deploymentBase/${id}`)) as {
        deployment: { chunks: { artifacts: { filename: string }[] }[] };
      };
      const name = deployment.chunks[0]?.artifacts[0]?.filename ?? '';
      const bytes = await this.request('GET', `/softwaremodules/${id}/artifacts/${name}`);
      expect(bytes.equals(image)).toBe(true);
      for (const execution of ['download', 'downloaded', 'proceeding', 'proceeding'])
        await this.feedback(id, execution, 'none');
      await this.feedback(id, 'closed', 'success');
      this.acknowledged.push(id);
    }

    private async feedback(id: string, execution: string, finished: string): Promise<void> {
      await this.json('POST', `/deploymentBase/${id}/feedback`, { id, status: { execution, result: { finished } } });
    }

    private async json(method: string, path: string, body?: object): Promise<unknown> {
      const bytes = await this.request(method, path, body);
      return bytes.length > 0 ? JSON.parse(bytes.toString()) : undefined;
    }

    private async request(method: string, path: string, body?: object): Promise<Buffer> {
      const isTheOne = this.requests++ === this.killAt;
      const killIn = (phase: (typeof PHASES)[number]): void => {
        if (isTheOne && this.phase === phase) kill();
      };
      killIn('before');
      const pending = fetch(`${url}/gateway/controller/v1/${this.name}${path}`, {
        method,
        ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
      });
      killIn('sent');
      setImmediate(() => {
        killIn('turned');
        setImmediate(() => {
          killIn('later');
        });
      });
      const response = await pending;
      killIn('headers');
      const bytes = Buffer.from(await response.arrayBuffer());
      if (response.status !== 200) throw new Error(`${method} ${path}: ${response.status} ${bytes.toString()}`);
      killIn('answered');
      return bytes;
    }
  }

  it(`loses no report that was answered, and leaves no unit stuck, at ${MOMENTS} moments`, async () => {
    await start();
    for (let moment = 0; moment < MOMENTS; moment++) {
      const unit = new Unit(`unit-${moment}`, moment % REQUESTS, PHASES[Math.floor(moment / REQUESTS)] ?? 'answered');
      await unit.live().catch((error: unknown) => {
        if (!/fetch failed|terminated|aborted/.test(String(error))) throw error;
      });
      // The kill may come after the answer to the last request.
      kill();
      await server.finished;
      const wasClosed = unit.acknowledged.length > 0;
      await start();
      const before = await stateOf(unit.name);
      if (wasClosed) expect(before?.outcome).toMatchObject({ outcome: 'installed', version: '1.0.0' });
      await unit.live();
      expect(unit.ids.size).toBe(1);
      if (wasClosed) expect(unit.acknowledged).toHaveLength(1);
      expect((await stateOf(unit.name))?.outcome).toMatchObject({ outcome: 'installed', version: '1.0.0' });
      const poll = (await (await fetch(`${url}/gateway/controller/v1/${unit.name}`)).json()) as object;
      expect(poll).not.toHaveProperty('_links');
    }
  });

  const stateOf = async (unit: string): Promise<{ outcome: object | null } | undefined> => {
    const response = await fetch(`${management}/units?product=gateway&unit=${unit}`);
    return response.status === 200 ? ((await response.json()) as { outcome: object | null }) : undefined;
  };
});
