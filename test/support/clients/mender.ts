import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { inspect } from '../mender-artifact.js';
import { RawClient } from '../raw-client.js';

export interface MenderOptions {
  /** mender-mcu on Zephyr, or the C++ client. */
  readonly client: 'mcu' | 'cpp';
  readonly identity: Readonly<Record<string, string>>;
  readonly deviceType: string;
  readonly artifactName: string;
  readonly key?: KeyObject;
}

export interface Deployment {
  readonly id: string;
  readonly artifact: {
    readonly artifact_name: string;
    readonly source: { readonly uri: string; readonly expire: string };
    readonly device_types_compatible: readonly string[];
  };
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: ReadonlyMap<string, string>;
}

/** What an update ended with. */
export type Outcome = 'no update' | 'unauthorized' | 'installed' | 'failed' | 'aborted' | 'cut' | `error ${number}`;

/** Blocks of mender-mcu on Zephyr (CONFIG_MENDER_ARTIFACT_DOWNLOAD_CHUNK_SIZE). */
const BLOCK = 2_048;
const ROOT = '/api/devices';
const DEPLOYMENTS = `${ROOT}/v1/deployments/device/deployments`;

/**
 * A unit with one of the Mender clients that Debian does not have: its requests byte for byte (mender-mcu 55fa6a1,
 * core/api.c and platform/net/zephyr/http.c; mender dc6ff6e, mender-auth and mender-update), and its checks of the answers.
 */
export class MenderUnit {
  token: string | undefined;
  artifactName: string;
  installed: Buffer | undefined;
  readonly key: KeyObject;
  private readonly isMcu: boolean;

  constructor(
    public port: number,
    private readonly options: MenderOptions,
  ) {
    this.artifactName = options.artifactName;
    this.isMcu = options.client === 'mcu';
    this.key =
      options.key ??
      (this.isMcu
        ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
        : generateKeyPairSync('ed25519').privateKey);
  }

  /** Logs in. Returns the status. */
  async login(): Promise<number> {
    const { status, body } = await this.post(`${ROOT}/v1/authentication/auth_requests`, this.authRequest(), true);
    this.token = status === 200 ? body.toString() : undefined;
    return status;
  }

  /** The body of the authentication request: sorted keys, no newline at its end. */
  authRequest(): string {
    const sorted = Object.fromEntries(Object.entries(this.options.identity).sort(([a], [b]) => (a < b ? -1 : 1)));
    return JSON.stringify({
      id_data: JSON.stringify(sorted),
      pubkey: this.publicKey,
      tier: this.isMcu ? 'micro' : 'standard',
    });
  }

  get publicKey(): string {
    return publicPem(this.key);
  }

  sign(body: string): string {
    const hash = this.key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
    return sign(hash, Buffer.from(body), this.key).toString('base64');
  }

  /** Asks for the next deployment, by v2. */
  next(): Promise<Answer> {
    const { deviceType } = this.options;
    const provides = { device_type: deviceType, artifact_name: this.artifactName };
    return this.post(
      `${ROOT}/v2/deployments/device/deployments/next`,
      JSON.stringify({ ...(!this.isMcu && { update_control_map: false }), device_provides: provides }),
    );
  }

  /** The same by v1, as the clients do after a 404. */
  nextV1(): Promise<Answer> {
    const query = `artifact_name=${encodeURIComponent(this.artifactName)}&device_type=${encodeURIComponent(this.options.deviceType)}`;
    return this.exchange('GET', `${DEPLOYMENTS}/next?${query}`, undefined);
  }

  status(id: string, status: string): Promise<Answer> {
    return this.exchange('PUT', `${DEPLOYMENTS}/${id}/status`, JSON.stringify({ status }));
  }

  log(id: string, ...messages: readonly string[]): Promise<Answer> {
    const entries = messages.map((message) => ({ timestamp: '2026-11-26T06:38:57Z', level: 'error', message }));
    return this.exchange('PUT', `${DEPLOYMENTS}/${id}/log`, JSON.stringify({ messages: entries }));
  }

  inventory(method: 'PUT' | 'PATCH', attributes: Readonly<Record<string, string>>): Promise<Answer> {
    const list = Object.entries(attributes).map(([name, value]) => ({ name, value }));
    return this.exchange(method, `${ROOT}/v1/inventory/device/attributes`, JSON.stringify(list));
  }

  /**
   * One poll, and the update if there is one.
   *
   * @param options.breaks whether the update module fails
   * @param options.cutAfter the connection is lost after so many bytes, and the download is not resumed
   * @param options.during runs between the download and the installation
   */
  async update(options: { breaks?: boolean; cutAfter?: number; during?: () => Promise<void> } = {}): Promise<Outcome> {
    if (this.token === undefined && (await this.login()) !== 200) return 'unauthorized';
    let answer = await this.next();
    if (answer.status === 401) {
      if ((await this.login()) !== 200) return 'unauthorized';
      answer = await this.next();
    }
    if (answer.status === 404) answer = await this.nextV1();
    if (answer.status === 204) return 'no update';
    if (answer.status !== 200) return `error ${answer.status}`;
    return this.deploy(JSON.parse(answer.body.toString()) as Deployment, options);
  }

  /** Downloads by the link alone, without credentials. */
  async download(uri: string, cutAfter = Infinity, from = 0): Promise<Buffer | undefined> {
    const { host, pathname, search } = new URL(uri);
    return this.isMcu
      ? this.blocks(host, `${pathname}${search}`, cutAfter, from)
      : this.stream(host, `${pathname}${search}`, cutAfter, from);
  }

  private async deploy(
    { id, artifact }: Deployment,
    { breaks = false, cutAfter, during }: { breaks?: boolean; cutAfter?: number; during?: () => Promise<void> },
  ): Promise<Outcome> {
    if (artifact.artifact_name === this.artifactName) {
      await this.status(id, 'already-installed');
      return 'no update';
    }
    if ((await this.status(id, 'downloading')).status === 409) return this.abort(id);
    const bytes = await this.download(artifact.source.uri, cutAfter);
    if (!bytes) return 'cut';
    await during?.();
    const { name, deviceTypes } = inspect(bytes);
    const isExpected =
      name === artifact.artifact_name &&
      JSON.stringify(deviceTypes) === JSON.stringify(artifact.device_types_compatible) &&
      deviceTypes.includes(this.options.deviceType);
    if (!isExpected || breaks) return this.fail(id);
    for (const state of ['installing', 'rebooting'])
      if ((await this.status(id, state)).status === 409) return this.abort(id);
    this.artifactName = name;
    this.installed = bytes;
    await this.status(id, 'success');
    return 'installed';
  }

  private async abort(id: string): Promise<Outcome> {
    await this.status(id, 'failure');
    return 'aborted';
  }

  private async fail(id: string): Promise<Outcome> {
    await this.status(id, 'failure');
    if (!this.isMcu) await this.log(id, 'Update Module terminated abnormally');
    return 'failed';
  }

  /** mender-mcu: a block of each request, on one connection; every answer has to be 206. */
  private async blocks(host: string, target: string, cutAfter: number, from: number): Promise<Buffer | undefined> {
    const client = await RawClient.open(this.port);
    try {
      const pieces: Buffer[] = [];
      for (let at = from, total = Infinity; at < total;) {
        if (at - from >= cutAfter) return undefined;
        const end = Math.min(at + BLOCK, total) - 1;
        const answer = await client.request(
          `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: Mender/1.0.0 MCU Zephyr/4.2.0\r\nRange: bytes=${at}-${end}\r\n\r\n`,
        );
        if (answer.status !== 206) throw new Error(`Artifact server ignored range request, status=${answer.status}`);
        total = Number(answer.headers.get('content-range')?.split('/')[1]);
        pieces.push(answer.body);
        at += answer.body.length;
      }
      return Buffer.concat(pieces);
    } finally {
      client.close();
    }
  }

  /** The C++ client: the whole artifact; after a cut, the rest, whose range has to be the one that it has asked for. */
  private async stream(host: string, target: string, cutAfter: number, from: number): Promise<Buffer | undefined> {
    const range = from === 0 ? '' : `Range: bytes=${from}-\r\n`;
    const client = await RawClient.open(this.port);
    try {
      client.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${range}\r\n`);
      if (cutAfter < Infinity) {
        while (client.pieces.reduce((sum, { length }) => sum + length, 0) < cutAfter)
          await new Promise((resolve) => client.socket.once('data', resolve));
        return undefined;
      }
      const { status, headers, body } = await client.receive();
      if (status !== (from === 0 ? 200 : 206)) throw new Error(`Unexpected status code ${status}`);
      const total = from + body.length;
      if (from > 0 && headers.get('content-range') !== `bytes ${from}-${total - 1}/${total}`)
        throw new Error('Content-Range does not fit');
      return body;
    } finally {
      client.close();
    }
  }

  private post(path: string, body: string, isLogin = false): Promise<Answer> {
    return this.exchange('POST', path, body, isLogin);
  }

  /** A connection for each request, as mender-mcu does. */
  async exchange(method: string, path: string, body: string | undefined, isLogin = false): Promise<Answer> {
    const client = await RawClient.open(this.port);
    try {
      const headers = this.isMcu ? this.mcuHeaders(body, isLogin) : this.cppHeaders(body, isLogin);
      client.send(
        `${method} ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${Buffer.from(body ?? '').toString('latin1')}`,
      );
      return await client.receive();
    } finally {
      client.close();
    }
  }

  private mcuHeaders(body: string | undefined, isLogin: boolean): string[] {
    return [
      // No port: PUBLIC_URL has to name it if it is not the usual one.
      'Host: 127.0.0.1',
      'User-Agent: Mender/1.0.0 MCU Zephyr/4.2.0',
      ...(isLogin ? [`X-MEN-Signature: ${this.sign(body ?? '')}`] : [`Authorization: Bearer ${this.token ?? ''}`]),
      ...(body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]),
    ];
  }

  private cppHeaders(body: string | undefined, isLogin: boolean): string[] {
    return [
      `Host: 127.0.0.1:${this.port}`,
      ...(isLogin
        ? ['Authorization: API_KEY', `X-MEN-Signature: ${this.sign(body ?? '')}`]
        : [`Authorization: Bearer ${this.token ?? ''}`]),
      'Accept: application/json',
      ...(body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`, 'Content-Type: application/json']),
    ];
  }
}

function publicPem(key: KeyObject): string {
  const { format, type } = { format: 'pem', type: 'spki' } as const;
  return createPublicKey(key).export({ format, type }).toString();
}
