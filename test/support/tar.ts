import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Header } from 'tar';

type EntryType = Exclude<Header['type'], 'Unsupported'>;

export interface TarFile {
  readonly path: string;
  readonly bytes?: Buffer;
  readonly type?: EntryType;
  readonly linkpath?: string;
  /** What the header says, when it lies. */
  readonly size?: number;
}

/** A tar as a builder writes it, or as an attacker does. */
export function tarOf(...files: TarFile[]): Buffer {
  const blocks = files.flatMap(({ path, bytes = Buffer.alloc(0), type = 'File', linkpath, size }) => {
    const header = Buffer.alloc(512);
    new Header({
      path,
      type,
      size: size ?? bytes.length,
      mode: 0o644,
      mtime: new Date(0),
      ...(linkpath && { linkpath }),
    }).encode(header);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** What GNU tar makes of a folder that `fill` fills, with its `options`. */
export function gnuTar(options: readonly string[], fill: (folder: string) => readonly string[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-tar-'));
  try {
    const names = fill(folder);
    return execFileSync('tar', [...options, '-cf', '-', '-C', folder, ...names], { maxBuffer: 1 << 28 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
