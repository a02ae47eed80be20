import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { tarOf, type TarFile } from './tar.js';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A Mender artifact of version 3, as mender-artifact writes it, with one payload. */
export function artifactOf(name: string, deviceTypes: readonly string[], payload: Buffer): Buffer {
  const info = {
    payloads: [{ type: 'rootfs-image' }],
    artifact_provides: { artifact_name: name },
    artifact_depends: { device_type: deviceTypes },
  };
  const header = gzipSync(
    tarOf(
      { path: 'header-info', bytes: json(info) },
      { path: 'headers/0000/type-info', bytes: json({ type: 'rootfs-image' }) },
    ),
  );
  const version = json({ format: 'mender', version: 3 });
  const sums = [
    [payload, 'data/0000/rootfs.img'],
    [header, 'header.tar.gz'],
    [version, 'version'],
  ] as const;
  const manifest = sums.map(([bytes, path]) => `${sha256(bytes)}  ${path}\n`).join('');
  return tarOf(
    { path: 'version', bytes: version },
    { path: 'manifest', bytes: Buffer.from(manifest) },
    { path: 'header.tar.gz', bytes: header },
    { path: 'data/0000.tar.gz', bytes: gzipSync(tarOf({ path: 'rootfs.img', bytes: payload }), { level: 0 }) },
  );
}

/** A tar that begins as an artifact does, and goes on with `files`. */
export function artifactWith(...files: readonly TarFile[]): Buffer {
  return tarOf({ path: 'version', bytes: json({ format: 'mender', version: 3 }) }, ...files);
}

/** Reads name and device types, as a client does before it installs. */
export function inspect(artifact: Buffer): { name: string; deviceTypes: string[] } {
  const header = filesIn(artifact).get('header.tar.gz');
  const info = header && filesIn(gunzipSync(header)).get('header-info');
  if (!info) throw new Error('no header-info');
  const { artifact_provides, artifact_depends } = JSON.parse(info.toString()) as {
    artifact_provides: { artifact_name: string };
    artifact_depends: { device_type: string[] };
  };
  return { name: artifact_provides.artifact_name, deviceTypes: artifact_depends.device_type };
}

function filesIn(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; at < tar.length && tar[at] !== 0;) {
    const path = tar.toString('latin1', at, tar.indexOf(0, at));
    const size = parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    files.set(path, tar.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
