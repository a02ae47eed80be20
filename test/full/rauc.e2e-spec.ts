import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { blocks, RaucClient } from '../support/clients/rauc.js';
import { describeWith, DistributionServer, runProgram } from '../support/real-server.js';
import { TestService } from '../support/service.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-rauc-'));
const inFolder = (name: string): string => join(folder, name);

/** Makes a signed bundle for streaming, with the program `rauc`. */
function makeBundle(version: string): string {
  const content = inFolder(`content-${version}`);
  mkdirSync(content);
  writeFileSync(join(content, 'rootfs.img'), firmwareBytes(3_000_000, version));
  const manifest = `[update]\ncompatible=Gateway\nversion=${version}\n\n[bundle]\nformat=verity\n\n[image.rootfs]\nfilename=rootfs.img\n`;
  writeFileSync(join(content, 'manifest.raucm'), manifest);
  const bundle = inFolder(`gateway-${version}.raucb`);
  runProgram('rauc', ['bundle', `--cert=${inFolder('cert.pem')}`, `--key=${inFolder('key.pem')}`, content, bundle]);
  return bundle;
}

/** Returns what `rauc info` says of a bundle after it has verified its signature. */
const info = (bundle: string): string => runProgram('rauc', ['info', `--keyring=${inFolder('cert.pem')}`, bundle]);

describeWith(['rauc', 'mksquashfs', 'openssl', 'oras', 'docker-registry'], 'a bundle that rauc has made', () => {
  const registry = new DistributionServer();
  let service: TestService;

  beforeAll(async () => {
    const files = ['-keyout', inFolder('key.pem'), '-out', inFolder('cert.pem')];
    runProgram('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      ...files,
      '-subj',
      '/CN=bundles',
      '-days',
      '2',
    ]);
    await registry.start();
    const bundle = makeBundle('1.0.0');
    runProgram(
      'oras',
      ['push', '--plain-http', `${new URL(registry.url).host}/gateway:1.0.0`, 'gateway-1.0.0.raucb'],
      join(bundle, '..'),
    );
    service = await TestService.start({ REGISTRY_URL: registry.url });
  });
  afterAll(async () => {
    await service.stop();
    await registry.stop();
    rmSync(folder, { recursive: true });
  });

  it('is streamed as rauc reads it, and rauc verifies what has arrived', async () => {
    const pushed = readFileSync(inFolder('gateway-1.0.0.raucb'));
    const headers = { 'RAUC-Serial': 'SN-1', 'RAUC-System-Version': '0.9.0' };
    const rauc = new RaucClient(service.port, { url: '/rauc/gateway', headers });
    const { size = 0, effectiveUrl = '' } = await rauc.begin();
    expect(size).toBe(pushed.length);
    // The size of the signature is at the end, the signature before it, and the blocks of the file system before that.
    const [end = Buffer.alloc(0)] = await rauc.read(effectiveUrl, [[size - 8, size]], 1);
    const signatureStart = size - 8 - Number(end.readBigUInt64BE());
    const [signature = Buffer.alloc(0)] = await rauc.read(effectiveUrl, [[signatureStart, size - 8]], 1);
    expect(signature.equals(pushed.subarray(signatureStart, size - 8))).toBe(true);
    const ranges = blocks(size);
    const arrived = Buffer.alloc(size);
    for (const [index, piece] of (await rauc.read(effectiveUrl, ranges, 8)).entries())
      piece.copy(arrived, ranges[index]?.[0]);
    rauc.close();
    expect(new Set(rauc.statuses)).toEqual(new Set([206]));
    writeFileSync(inFolder('arrived.raucb'), arrived);
    expect(info(inFolder('arrived.raucb'))).toContain("'1.0.0'");
  });

  it('is one file for curl, which follows the link', async () => {
    const answer = await fetch(`${service.url}/rauc/gateway`);
    expect(answer.redirected).toBe(true);
    writeFileSync(inFolder('whole.raucb'), Buffer.from(await answer.arrayBuffer()));
    expect(info(inFolder('whole.raucb'))).toContain("'Gateway'");
  });
});
