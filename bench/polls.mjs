/** The poll of each protocol, as a request with headers: GET only, so that every load generator can send it. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export const PRODUCT = 'board';
export const VERSION = '2.0.0';
const RUNNING = '1.0.0';
const UNIT = 'SN-1';

/**
 * Returns `[name, path, headers]` of each poll to the server at `address`, for a unit that runs an older version: every
 * answer is an offer. Logs in for Mender.
 */
export async function pollsOf(address) {
  return [
    ['native', `/version?device=${PRODUCT}&unit=${UNIT}&running=${RUNNING}`, {}],
    ['Arduino', `/firmware?device=${PRODUCT}`, arduinoHeaders()],
    ['ESPHome', `/esphome/${PRODUCT}/manifest.json?unit=${UNIT}&running=${RUNNING}`, {}],
    ['SWUpdate', `/swupdate/${PRODUCT}?unit=${UNIT}&running=${RUNNING}`, {}],
    ['RAUC', `/rauc/${PRODUCT}`, { 'RAUC-Serial': UNIT, 'RAUC-System-Version': RUNNING, Range: 'bytes=0-3' }],
    ['hawkBit DDI', `/${PRODUCT}/controller/v1/${UNIT}`, {}],
    [
      'Mender',
      `/api/devices/v1/deployments/device/deployments/next?device_type=${PRODUCT}&artifact_name=rel-${RUNNING}`,
      { Authorization: `Bearer ${await menderToken(address)}` },
    ],
  ];
}

/** Mode `version`: the other one is the download itself. */
function arduinoHeaders() {
  const mac = '24:6F:28:AA:BB:CC';
  return {
    ...{ 'User-Agent': 'ESP32-http-Update', 'x-ESP32-STA-MAC': mac },
    ...{ 'x-ESP32-mode': 'version', 'x-ESP32-version': RUNNING },
  };
}

async function menderToken(address) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const pubkey = publicKey.export({ format: 'pem', type: 'spki' });
  const body = JSON.stringify({ id_data: JSON.stringify({ mac: '24:6f:28:aa:bb:cc' }), pubkey });
  const headers = { 'X-MEN-Signature': sign(null, Buffer.from(body), privateKey).toString('base64') };
  const url = `http://${address}/api/devices/v1/authentication/auth_requests`;
  const answer = await fetch(url, { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(`Mender login: ${answer.status} ${await answer.text()}`);
  return answer.text();
}

/** Returns a Mender artifact of version 3 with `payload`. The other protocols take it as they take any file. */
export function menderArtifact(payload) {
  const info = {
    payloads: [{ type: 'rootfs-image' }],
    artifact_provides: { artifact_name: `rel-${VERSION}` },
    artifact_depends: { device_type: [PRODUCT] },
  };
  const type = { type: 'rootfs-image' };
  return tar([
    ['version', JSON.stringify({ format: 'mender', version: 3 })],
    ['manifest', ''],
    [
      'header.tar.gz',
      gzipSync(
        tar([
          ['header-info', JSON.stringify(info)],
          ['headers/0000/type-info', JSON.stringify(type)],
        ]),
      ),
    ],
    ['data/0000.tar.gz', gzipSync(tar([['rootfs.img', payload]]), { level: 0 })],
  ]);
}

function tar(files) {
  const blocks = files.flatMap(([path, content]) => {
    const bytes = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write('0000644\0', 100);
    header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('        0', 148);
    header.write('ustar\x0000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
