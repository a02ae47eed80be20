import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { FakeRegistry } from '../support/fake-registry.js';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
/** Drivers and connections take a moment to end; an idle connection of an HTTP client would take four seconds. */
const MAX_LINGER_MS = 3_500;

/** Starts a service, has it answered by the registry, stops it, and leaves the end of the process to Node. */
const SCRIPT = `
const { Service } = await import(process.argv[1] + 'service.js');
const { parseSettings } = await import(process.argv[1] + 'config/index.js');
const { givenBy } = await import(process.argv[1] + 'settings/index.js');
const given = givenBy(JSON.parse(process.argv[2]));
const service = await Service.start({ given, settings: parseSettings(given), logger: false });
const answer = await fetch('http://127.0.0.1:' + service.address.port + '/version?device=esp32');
await answer.text();
await service.stop();
process.stdout.write(answer.status + ' stopped');
`;

describe('A service that was stopped', () => {
  const registry = new FakeRegistry();

  beforeAll(async () => {
    await registry.start();
    registry.push('esp32', '1.0.0', Buffer.from('one'));
  });
  afterAll(() => registry.stop());

  it.each([
    ['as it is', {}],
    ['with devices that are watched', { WATCH: 'all', REFRESH_INTERVAL: '30d' }],
    ['with a broker that is away', { MQTT_URL: 'mqtt://127.0.0.1:1', MQTT_TOPIC: 'x', NOTIFY: 'http://127.0.0.1:1/' }],
  ])('keeps neither the process nor a connection alive: %s', async (_name, options) => {
    const values = {
      REGISTRY_URL: registry.url,
      LISTEN_ADDR: '127.0.0.1:0',
      METRICS_LISTEN_ADDR: '127.0.0.1:0',
      SHUTDOWN_GRACE: '1s',
      ...options,
    };
    const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT, DIST, JSON.stringify(values)]);
    let output = '';
    let stoppedAtMs = Infinity;
    child.stdout.on('data', (piece: Buffer) => {
      output += piece.toString();
      if (output.endsWith('stopped')) stoppedAtMs = performance.now();
    });
    child.stderr.on('data', (piece: Buffer) => (output += piece.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect({ code, output }).toEqual({ code: 0, output: '200 stopped' });
    expect(performance.now() - stoppedAtMs).toBeLessThan(MAX_LINGER_MS);
    expect(registry.connections).toBe(0);
  });
});
