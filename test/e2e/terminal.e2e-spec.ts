import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firmwareBytes } from '../support/bytes.js';
import { run } from '../support/cli.js';
import { error } from '../support/fake-registry.js';
import { describeWith } from '../support/real-server.js';
import { onTerminal } from '../support/screen.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-terminal-'));
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const firmware = join(folder, 'firmware-with-quite-a-long-name.bin');
const BYTES = 16_000_000;

/** A registry that has nothing and takes all, slowly: a piece of an upload every 5 ms. */
const registry = createServer((request: IncomingMessage, response: ServerResponse) => {
  const { method, url = '' } = request;
  if (method === 'GET' || method === 'HEAD') {
    error(response, 404, 'NAME_UNKNOWN');
  } else if (method === 'POST') {
    response.writeHead(202, { Location: '/v2/esp32/blobs/uploads/1' }).end();
  } else if (url.includes('/manifests/')) {
    request.resume().on('end', () => response.writeHead(201).end());
  } else {
    request.on('data', () => {
      request.pause();
      setTimeout(() => request.resume(), 5);
    });
    request.on('end', () => response.writeHead(201).end());
  }
});

beforeAll(async () => {
  writeFileSync(firmware, firmwareBytes(BYTES));
  registry.listen(0, '127.0.0.1');
  await new Promise((resolve) => registry.once('listening', resolve));
});
afterAll(() => {
  registry.closeAllConnections();
  registry.close();
  rmSync(folder, { recursive: true, force: true });
});

const url = (): string => `http://127.0.0.1:${(registry.address() as AddressInfo).port}`;
const push = (version: string, to: string): string =>
  `${process.execPath} ${main} push esp32 ${version} ${firmware} --registry-url ${to}`;

describeWith(['script'], 'on a terminal, otaflux list', () => {
  const list = (to: string, rest = ''): string => `${process.execPath} ${main} list esp32 --registry-url ${to}${rest}`;

  it('shows that it tries again, and takes the line away', async () => {
    const down = createServer((_request, response) => response.writeHead(503).end()).listen(0, '127.0.0.1');
    await new Promise((resolve) => down.once('listening', resolve));
    const host = `127.0.0.1:${(down.address() as AddressInfo).port}`;
    const { screen, code } = await onTerminal(100, list(`http://${host}`));
    down.close();
    expect(screen.drawn).toContain(`${host}: it answered 503, retrying … (1 of 5)`);
    expect(screen.text).not.toContain('retrying');
    expect(code).toBe(3);
  });

  it('puts the note below its version where there is no room beside it', async () => {
    const reg = `oci:${join(folder, 'registry')}`;
    expect((await run(['push', 'esp32', '1.0.0-rc.1', firmware, '--registry-url', reg])).code).toBe(0);
    const { screen } = await onTerminal(60, list(reg, ' --no-prereleases'), { NO_COLOR: '1' });
    expect(screen.wrapped).toEqual([]);
    expect(screen.text).toMatch(/\n +1\.0\.0-rc\.1 .*…\n {4}pre-release \(--no-prereleases\)\n/);
  });
});

describeWith(['script'], 'on a terminal, otaflux push', () => {
  it.each([40, 80, 120])('of %d columns shows how far it is on one line, which it takes away', async (columns) => {
    const { screen, code } = await onTerminal(columns, push(`1.0.${columns}`, url()));
    expect(code).toBe(0);
    const host = new URL(url()).host;
    expect(screen.text.replaceAll('\n', '')).toMatch(
      new RegExp(
        `^Pushed ${host}/esp32:1\\.0\\.${columns} \\(16\\.0 MB\\)Digest: sha256:[0-9a-f]{64}Devices that ask for "esp32" get it\\.$`,
      ),
    );
    const states = screen.drawn.filter((line) => line.includes('%'));
    expect(states.length).toBeGreaterThan(3);
    for (const state of states) {
      expect(state).toMatch(
        /^ {0,2}\d{1,3} % {2}\d{1,2}\.\d\/16\.0 MB(?: {2}\d+(?:\.\d)? [KM]B\/s)?(?: {2}firmw\S*)?$/,
      );
      expect(state.length).toBeLessThan(columns);
    }
    expect(states.some((state) => state.includes('/s'))).toBe(true);
    expect(screen.wrapped.filter((line) => line.includes('%'))).toEqual([]);
    // The name is cut where there is no room for it.
    const last = states.at(-1) ?? '';
    expect(last.endsWith('firmware-with-quite-a-long-name.bin')).toBe(columns > 70);
  });

  it('says that it tries again while the registry is down, and ends with one line', async () => {
    const { screen, code } = await onTerminal(80, push('1.0.0', 'http://127.0.0.1:1'));
    expect(code).toBe(1);
    expect(screen.text.replaceAll('\n', '')).toBe(
      'otaflux: cannot reach http://127.0.0.1:1: connection refused. Check that the registry runs, and the port in --registry-url',
    );
    for (const retry of [1, 2, 3, 4, 5])
      expect(screen.drawn).toContain(`127.0.0.1:1: connection refused, retrying … (${retry} of 5)`);
  });

  it('writes nothing but the result where nobody looks', async () => {
    const { stderr, stdout } = await run(['push', 'esp32', '2.0.0', firmware, '--registry-url', url(), '--json']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ repository: 'esp32', tag: '2.0.0', size: BYTES, changed: true });
    const down = await run(['push', 'esp32', '2.0.0', firmware, '--registry-url', 'http://127.0.0.1:1']);
    expect(down.stderr.split('\n')).toHaveLength(2);
    expect(down.stderr).not.toContain('retrying');
  });
});

describeWith(['script'], 'on a terminal, the demo', () => {
  it('of 80 columns is not wider, and its lines do not run into its progress', async () => {
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const demo = `${process.execPath} demo/demo.mjs --once`;
    const { screen, code } = await onTerminal(80, demo, { NO_COLOR: '1', TMPDIR: tmpdir() }, root);
    expect(code).toBe(0);
    expect(screen.wrapped).toEqual([]);
    expect(screen.drawn.some((line) => line.includes(' % '))).toBe(true);
    expect(screen.text).not.toContain(' % ');
    expect(screen.text).toContain('runs 1.1.0');
  });
});
