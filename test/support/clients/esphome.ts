import { createHash } from 'node:crypto';
import { RawClient } from '../raw-client.js';

/** A node that runs ESPHome. */
export interface Node {
  /** `update: source:`, the path on the server. */
  readonly source: string;
  /** `ESPHOME_VARIANT`. */
  readonly variant: string;
  /** The version of the project: `esphome: project: version:`. */
  readonly version: string;
}

/** What the update entity shows after a check. */
export interface UpdateInfo {
  readonly state: 'NO_UPDATE' | 'AVAILABLE' | 'error';
  readonly error?: string;
  readonly title?: string;
  readonly latestVersion?: string;
  readonly summary?: string;
  readonly releaseUrl?: string;
  readonly firmwareUrl?: string;
  readonly md5?: string;
}

const HEADERS = ['User-Agent: ESPHome/2026.6.5 (https://esphome.io)', 'Accept-Encoding: identity', 'Connection: close'];
/** `buffer_size_tx` of ESP-IDF: the request line and the headers up to the host must fit. */
const MAX_TARGET = 400;

/**
 * ESPHome with `update: platform: http_request` and `ota: platform: http_request`, as http_request_update.cpp and
 * ota_http_request.cpp at 2026.6.5 read: strict types, the length in advance, and the path of the firmware by its rules.
 */
export class EsphomeNode {
  constructor(
    private readonly port: number,
    private readonly node: Node,
  ) {}

  async check(): Promise<UpdateInfo> {
    const failed = (error: string): UpdateInfo => ({ state: 'error', error });
    const source = `http://127.0.0.1:${this.port}${this.node.source}`;
    const answer = await this.get(source);
    if (answer.status !== 200) return failed('Failed to fetch manifest');
    const length = Number(answer.headers.get('content-length') ?? 0);
    let manifest: unknown;
    try {
      manifest = JSON.parse(answer.body.subarray(0, length).toString('utf8'));
    } catch {
      return failed('Failed to parse JSON');
    }
    const build = this.buildIn(manifest);
    if (typeof build === 'string') return failed(build);
    return { ...build, firmwareUrl: merged(source, build.path) };
  }

  /** Returns the image that the node boots, or what its log says. `cutAfter` ends the connection after so many bytes. */
  async flash({ firmwareUrl = '', md5 }: UpdateInfo, cutAfter = Infinity): Promise<Buffer | string> {
    if (md5?.length !== 32) return 'MD5 size is incorrect';
    const answer = await this.get(firmwareUrl);
    if (answer.status !== 200) return `HTTP error ${answer.status}`;
    const length = Number(answer.headers.get('content-length') ?? 0);
    if (length === 0 || answer.headers.has('transfer-encoding')) return 'no length';
    const image = answer.body.subarray(0, cutAfter);
    if (image.length < length) return 'Stream closed before the end';
    return createHash('md5').update(image).digest('hex') === md5 ? image : 'MD5 mismatch';
  }

  private buildIn(manifest: unknown): (UpdateInfo & { path: string }) | string {
    const { name, version, builds } = (manifest ?? {}) as Record<string, unknown>;
    const missing = 'Manifest does not contain required fields';
    if (typeof name !== 'string' || typeof version !== 'string' || !Array.isArray(builds)) return missing;
    for (const { chipFamily, ota } of builds as Record<string, unknown>[]) {
      if (typeof chipFamily !== 'string') return missing;
      if (chipFamily !== this.node.variant) continue;
      if (typeof ota !== 'object' || ota === null) return missing;
      const { path, md5, summary, release_url: releaseUrl } = ota as Record<string, unknown>;
      if (typeof path !== 'string' || typeof md5 !== 'string') return missing;
      return {
        state: version === '' || version === this.node.version ? 'NO_UPDATE' : 'AVAILABLE',
        title: name,
        latestVersion: version,
        ...(typeof summary === 'string' && { summary }),
        ...(typeof releaseUrl === 'string' && { releaseUrl }),
        md5,
        path,
      };
    }
    return 'Failed to parse manifest JSON';
  }

  private async get(url: string): ReturnType<RawClient['request']> {
    const { pathname, search } = new URL(url);
    const target = `${pathname}${search}`;
    if (target.length > MAX_TARGET) throw new Error(`Out of buffer: ${target}`);
    const client = await RawClient.open(this.port);
    const lines = [`GET ${target} HTTP/1.1`, `Host: 127.0.0.1:${this.port}`, ...HEADERS];
    const answer = await client.request(`${lines.join('\r\n')}\r\n\r\n`);
    client.close();
    return answer;
  }
}

/** A path with "http" anywhere is taken for a complete URL. */
function merged(source: string, path: string): string {
  if (path.includes('http')) return path;
  const end = path.startsWith('/') ? source.indexOf('/', 8) : source.lastIndexOf('/') + 1;
  return `${source.slice(0, end)}${path}`;
}

/** A part that ESP Web Tools writes. */
export interface FlashPart {
  readonly offset: number;
  readonly bytes: Buffer;
}

/**
 * ESP Web Tools in a page of another site: it fetches the manifest and the parts of its chip, and the browser hands over
 * what `Access-Control-Allow-Origin` permits.
 */
export async function installByBrowser(base: string, manifestPath: string, chipFamily: string): Promise<FlashPart[]> {
  const allowed = async (url: URL): Promise<Response> => {
    const answer = await fetch(url, { headers: { Origin: 'https://install.example.com' } });
    if (answer.headers.get('access-control-allow-origin') !== '*') throw new Error('Failed to fetch');
    if (!answer.ok) throw new Error(`Downlading firmware failed: ${answer.status}`);
    return answer;
  };
  const manifestUrl = new URL(manifestPath, base);
  const { builds } = (await (await allowed(manifestUrl)).json()) as {
    builds: { chipFamily: string; parts?: { path: string; offset: number }[] }[];
  };
  const build = builds.find((one) => one.chipFamily === chipFamily);
  if (!build) throw new Error(`Your ${chipFamily} board is not supported.`);
  return Promise.all(
    (build.parts ?? []).map(async ({ path, offset }) => {
      const answer = await allowed(new URL(path, manifestUrl));
      return { offset, bytes: Buffer.from(await answer.arrayBuffer()) };
    }),
  );
}
