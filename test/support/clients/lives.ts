import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { Reply, Sent } from '../keep-alive.js';

/** Sends a request, and rejects if its answer has another status. */
export type Send = (expected: number, method: string, target: string, sent?: Sent) => Promise<Reply>;

/** An update from one version to another: the unit asks, downloads, says how it ended, and asks again. */
export type Life = (send: Send, product: string, unit: string, from: string, to: string) => Promise<Buffer>;

const JSON_TYPE = { 'Content-Type': 'application/json' };

/** One key for all Mender units: making one takes longer than everything that the server does. */
const mender = generateKeyPairSync('ed25519');
const menderKey = createPublicKey(mender.privateKey).export({ format: 'pem', type: 'spki' }).toString();

/** Returns a MAC address for the unit whose number is in `unit`. */
export function macOf(unit: string): string {
  const hex = Number(/\d+$/.exec(unit)?.[0] ?? 0)
    .toString(16)
    .padStart(6, '0');
  return `24:6f:28:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
}

/**
 * The shortest update of each protocol, for many units at once. Each resolves to the bytes that were downloaded. The
 * clients in this folder are the ones that send what the real ones do, byte for byte.
 */
export const LIVES: Readonly<Record<string, Life>> = {
  native: async (send, product, unit, from, to) => {
    const query = (running: string): string => `device=${product}&unit=${unit}&running=${running}`;
    await send(200, 'GET', `/version?${query(from)}`);
    const { body } = await send(200, 'GET', `/firmware?${query(from)}`);
    const report = JSON.stringify({ version: to, outcome: 'installed' });
    await send(204, 'POST', `/report?device=${product}&unit=${unit}`, { headers: JSON_TYPE, body: report });
    await send(200, 'GET', `/version?${query(to)}`);
    return body;
  },
  arduino: async (send, product, unit, from, to) => {
    const headers = (version: string): Record<string, string> => ({
      'User-Agent': 'ESP32-http-Update',
      'x-ESP32-STA-MAC': macOf(unit).toUpperCase(),
      'x-ESP32-free-space': '2097152',
      'x-ESP32-mode': 'sketch',
      'x-ESP32-version': version,
    });
    const { body } = await send(200, 'GET', `/firmware?device=${product}`, { headers: headers(from) });
    await send(304, 'GET', `/firmware?device=${product}`, { headers: headers(to) });
    return body;
  },
  esphome: async (send, product, unit, from, to) => {
    const poll = (running: string): Promise<Reply> =>
      send(200, 'GET', `/esphome/${product}/manifest.json?unit=${unit}&running=${running}`);
    const { builds } = JSON.parse((await poll(from)).body.toString()) as { builds: { ota: { path: string } }[] };
    const { body } = await send(200, 'GET', builds[0]?.ota.path ?? '');
    await poll(to);
    return body;
  },
  swupdate: async (send, product, unit, from, to) => {
    const poll = (expected: number, running: string): Promise<Reply> =>
      send(expected, 'GET', `/swupdate/${product}?unit=${unit}&running=${running}`);
    const { location = '' } = (await poll(302, from)).headers;
    const { body } = await send(200, 'GET', location);
    await send(204, 'PUT', `/swupdate/${product}/log`, { body: `success,${unit}` });
    await poll(404, to);
    return body;
  },
  rauc: async (send, product, unit, from, to) => {
    const poll = (expected: number, version: string): Promise<Reply> =>
      send(expected, 'GET', `/rauc/${product}`, {
        headers: { 'RAUC-Serial': unit, 'RAUC-System-Version': version, Range: 'bytes=0-3' },
      });
    const { location = '' } = (await poll(302, from)).headers;
    const pieces = [
      (await send(206, 'GET', location, { headers: { Range: 'bytes=0-4095' } })).body,
      (await send(206, 'GET', location, { headers: { Range: 'bytes=4096-' } })).body,
    ];
    await poll(204, to);
    return Buffer.concat(pieces);
  },
  ddi: async (send, product, unit) => {
    const base = `/${product}/controller/v1/${unit}`;
    const poll = async (): Promise<Record<string, { href: string }>> => {
      const { body } = await send(200, 'GET', base);
      return (JSON.parse(body.toString()) as { _links?: Record<string, { href: string }> })._links ?? {};
    };
    const href = (await poll()).deploymentBase?.href ?? '';
    const { id, deployment } = JSON.parse((await send(200, 'GET', href)).body.toString()) as {
      id: string;
      deployment: { chunks: { artifacts: { _links: Record<string, { href: string }> }[] }[] };
    };
    const links = deployment.chunks[0]?.artifacts[0]?._links ?? {};
    const { body } = await send(200, 'GET', (links['download-http'] ?? links.download)?.href ?? '');
    const status = { execution: 'closed', result: { finished: 'success' } };
    const feedback = { headers: JSON_TYPE, body: JSON.stringify({ id, status }) };
    await send(200, 'POST', `${base}/deploymentBase/${id}/feedback`, feedback);
    if ((await poll()).deploymentBase) throw new Error(`ddi: ${unit} is offered the same release again`);
    return body;
  },
  mender: async (send, product, unit, from, to) => {
    const login = JSON.stringify({ id_data: JSON.stringify({ mac: macOf(unit) }), pubkey: menderKey });
    const signature = sign(null, Buffer.from(login), mender.privateKey).toString('base64');
    const { body: token } = await send(200, 'POST', '/api/devices/v1/authentication/auth_requests', {
      headers: { ...JSON_TYPE, 'X-MEN-Signature': signature },
      body: login,
    });
    const headers = { ...JSON_TYPE, Authorization: `Bearer ${token.toString()}` };
    const deployments = '/api/devices/v1/deployments/device/deployments';
    const next = (expected: number, name: string): Promise<Reply> =>
      send(expected, 'POST', '/api/devices/v2/deployments/device/deployments/next', {
        headers,
        body: JSON.stringify({ device_provides: { device_type: product, artifact_name: name } }),
      });
    const { id, artifact } = JSON.parse((await next(200, `rel-${from}`)).body.toString()) as {
      id: string;
      artifact: { source: { uri: string } };
    };
    const { body } = await send(200, 'GET', artifact.source.uri);
    await send(204, 'PUT', `${deployments}/${id}/status`, { headers, body: JSON.stringify({ status: 'success' }) });
    await next(204, `rel-${to}`);
    return body;
  },
};
