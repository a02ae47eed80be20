import { NoFirmware } from '../no-firmware.js';
import { BLOCK_BYTES, brokenTar } from './tar-header.js';
import type { TarEntry } from './tar-reader.js';

/** A file of a layer, by the index of its entry in the tar. */
export interface LayerFile {
  readonly entry: number;
  readonly path: string;
  readonly sizeBytes: number;
}

type Node =
  | { readonly kind: 'file'; readonly file: LayerFile }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'other' };

/** Maximum size of all names in a layer together. Real layers have a few kilobytes. */
const MAX_NAME_BYTES = 16 * 1024 * 1024;
/** The same limit as in Linux (path_resolution(7)). */
const MAX_LINKS = 40;
const MAX_NAMED = 10;

/** The files of an unpacked layer. Of two entries with the same path, the last one counts. Links are resolved. */
export class LayerFiles {
  private readonly nodes = new Map<string, Node>();
  private nameBytes = 0;

  /** @param wanted path of the firmware, or the end of it; undefined if it is the only file */
  constructor(private readonly wanted: string | undefined) {}

  /** Returns whether the entry of `path` may be the firmware, according to its name. */
  mayBe(path: string): boolean {
    if (this.wanted === undefined) return true;
    const [own, wanted] = [normalized(path), normalized(this.wanted)];
    return own === wanted || own.endsWith(`/${wanted}`);
  }

  add({ path: written, linkpath, type, sizeBytes }: TarEntry, entry: number): void {
    const path = normalized(written);
    // `.wh.` files are markers of the layer format (image-spec 1.1, layer.md, "Whiteouts").
    if (/(?:^|\/)\.wh\.[^/]*$/.test(path)) return;
    this.nameBytes += path.length + linkpath.length + BLOCK_BYTES / 8;
    if (this.nameBytes > MAX_NAME_BYTES) throw brokenTar('its file names are too long');
    if (type === 'file') this.nodes.set(path, { kind: 'file', file: { entry, path, sizeBytes } });
    else if (type === 'symbolic-link') this.nodes.set(path, { kind: 'link', target: linkpath });
    // A hard link is another name of the file that is there now, even if another one replaces it later.
    else if (type === 'hard-link')
      this.nodes.set(path, this.walk(linkpath) ?? { kind: 'link', target: `/${linkpath}` });
    else this.nodes.set(path, { kind: 'other' });
  }

  /**
   * Returns the firmware among all added files.
   *
   * @throws NoFirmware if there is none, or if there are several and none of them is selected
   */
  firmware(): LayerFile {
    const files = new Map<number, LayerFile>();
    for (const node of this.nodes.values()) if (node.kind === 'file') files.set(node.file.entry, node.file);
    if (this.wanted !== undefined) return this.named(this.wanted, [...files.values()]);
    const [first] = files.values();
    if (!first) throw new NoFirmware('the layer contains no file. Push a firmware file');
    if (files.size > 1)
      throw new NoFirmware(`${severalOf([...files.values()])}. Name the one that is the firmware with --firmware-file`);
    return first;
  }

  /** Finds a file by its complete path, otherwise by the end of its path. */
  private named(wanted: string, files: readonly LayerFile[]): LayerFile {
    const exact = this.resolve(wanted);
    if (exact) return exact;
    let dangling = '';
    for (const [path, node] of this.nodes) {
      if (!this.mayBe(path)) continue;
      const file = this.resolve(path);
      if (file) return file;
      if (node.kind === 'link') dangling = `${path} links to ${node.target}, which is not a file of this layer`;
    }
    if (dangling)
      throw new NoFirmware(
        `${dangling}. Push the file itself, or name another with --firmware-file (now ${JSON.stringify(wanted)})`,
      );
    if (files.length === 0) throw new NoFirmware('the layer contains no file. Push a firmware file');
    throw new NoFirmware(`${severalOf(files)}, and not ${JSON.stringify(wanted)}, which --firmware-file names`);
  }

  private resolve(path: string): LayerFile | undefined {
    const node = this.walk(path);
    return node?.kind === 'file' ? node.file : undefined;
  }

  /** Returns the file at `path`, after resolving links, or undefined. */
  private walk(path: string): Node | undefined {
    let rest = path.split('/');
    let at: string[] = [];
    for (let links = 0; rest.length > 0;) {
      const [part = '', ...further] = rest;
      rest = further;
      if (part === '..') at = at.slice(0, -1);
      if (part === '' || part === '.' || part === '..') continue;
      const node = this.nodes.get([...at, part].join('/'));
      if (node?.kind !== 'link') at = [...at, part];
      else if (++links > MAX_LINKS) return undefined;
      else {
        if (node.target.startsWith('/')) at = [];
        rest = [...node.target.split('/'), ...rest];
      }
    }
    return this.nodes.get(at.join('/'));
  }
}

/** Returns a normalized path from the root of the layer. `..` does not lead out of it. */
function normalized(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function severalOf(files: readonly LayerFile[]): string {
  const names = files.slice(0, MAX_NAMED).map(({ path }) => path);
  const more = files.length > MAX_NAMED ? ` and ${files.length - MAX_NAMED} more` : '';
  return `the layer contains ${files.length > 1 ? 'several files' : 'one file'}: ${names.join(', ')}${more}`;
}
