import { createHash } from 'node:crypto';
import { RawClient, type RawResponse } from '../raw-client.js';

interface Poll {
  readonly config: { readonly polling: { readonly sleep: string } };
  readonly _links?: Partial<Record<'cancelAction' | 'configData' | 'deploymentBase', { readonly href: string }>>;
}
interface Artifact {
  readonly size: number;
  readonly hashes: { readonly sha1: string };
  readonly _links: Partial<Record<'download' | 'download-http', { readonly href: string }>>;
}
interface Deployment {
  readonly id: string;
  readonly deployment: {
    readonly download: string;
    readonly update: string;
    readonly chunks: { readonly artifacts: Artifact[] }[];
  };
}

/** What RAUC does with a bundle. */
export type Install = (bundle: Buffer) => boolean;

/**
 * A unit with rauc-hawkbit-updater: its requests as they were traced (version 227a2f3), on one connection. Every status
 * but 200 is an error to it.
 */
export class RaucHawkbitUnit {
  /** The bundle that it has installed. */
  bundle: Buffer | undefined;
  steps: string[] = [];
  private client: RawClient | undefined;

  constructor(
    private readonly port: () => number,
    readonly id: string,
    private readonly options: {
      readonly tenant?: string;
      readonly token?: string;
      readonly gateway?: boolean;
      /** The section `[device]` of config.conf. */
      readonly device?: Readonly<Record<string, string>>;
      /** `send_download_authentication` */
      readonly sendsTokenWithDownload?: boolean;
      readonly install?: Install;
    } = {},
  ) {}

  /** One poll, as with `-r`: polls, and installs what is offered. Rejects as the program fails. */
  async poll({ cutAfter }: { cutAfter?: number } = {}): Promise<'nothing' | 'installed' | 'failed' | 'cancelled'> {
    this.steps = [];
    this.client = await RawClient.open(this.port());
    try {
      const { config, _links: links = {} } = (await this.json('GET', this.base)) as Poll;
      if (!/^\d\d:\d\d:\d\d$/.test(config.polling.sleep)) throw new Error(`sleep ${config.polling.sleep}`);
      if (links.configData) await this.identify();
      if (links.deploymentBase) return await this.deploy(links.deploymentBase.href, cutAfter);
      if (links.cancelAction) return await this.cancel(links.cancelAction.href);
      return 'nothing';
    } finally {
      this.client.close();
    }
  }

  private get base(): string {
    const { tenant = 'DEFAULT' } = this.options;
    return `/${tenant}/controller/v1/${this.id}`;
  }

  private async identify(): Promise<void> {
    const { device = { product: 'Terminator', model: 'T-1000', serialnumber: '8922673153' } } = this.options;
    await this.json('PUT', `${this.base}/configData`, {
      id: '',
      time: '20261125T181123',
      status: { result: { finished: 'success' }, execution: 'closed', details: [''] },
      data: device,
    });
  }

  private async deploy(href: string, cutAfter: number | undefined): Promise<'installed' | 'failed'> {
    const { id, deployment } = (await this.json('GET', href)) as Deployment;
    if (typeof id !== 'string' || !deployment.download || !deployment.update) throw new Error('wrong deployment');
    const feedback = `${this.base}/deploymentBase/${id}/feedback`;
    const tell = (execution: string, finished: string, detail: string): Promise<unknown> =>
      this.json('POST', feedback, {
        id,
        time: '20261125T181123',
        status: { result: { finished }, execution, details: [detail] },
      });
    const [chunk, ...others] = deployment.chunks;
    const [artifact, ...further] = chunk?.artifacts ?? [];
    if (!artifact || others.length > 0 || further.length > 0 || !artifact.hashes.sha1) {
      await tell('closed', 'failure', 'Deployment has more than one artifact.');
      return 'failed';
    }
    const bundle = await this.download(artifact, cutAfter);
    if (!bundle) {
      await tell('closed', 'failure', 'Download failed: Transferred a partial file');
      return 'failed';
    }
    await tell('proceeding', 'none', 'Download complete. 5.00 MB/s');
    if (createHash('sha1').update(bundle).digest('hex') !== artifact.hashes.sha1) {
      await tell('closed', 'failure', 'Software: firmware V1. Invalid checksum.');
      return 'failed';
    }
    await tell('proceeding', 'none', 'File checksum OK.');
    for (let progress = 0; progress <= 100; progress += 5)
      await tell('proceeding', 'none', `${progress}% Installing slot`);
    const { install = () => true } = this.options;
    if (!install(bundle)) {
      await tell('closed', 'failure', 'Failed to install software bundle.');
      return 'failed';
    }
    this.bundle = bundle;
    await tell('closed', 'success', 'Software bundle installed successfully.');
    return 'installed';
  }

  private async cancel(href: string): Promise<'cancelled'> {
    const { cancelAction } = (await this.json('GET', href)) as { cancelAction: { stopId: string } };
    await this.json('POST', `${this.base}/cancelAction/${cancelAction.stopId}/feedback`, {
      id: cancelAction.stopId,
      time: '20261125T181123',
      status: { result: { finished: 'success' }, execution: 'closed', details: ['Action canceled.'] },
    });
    return 'cancelled';
  }

  /** Downloads in one connection of its own; a cut one is resumed by Range. Undefined: it failed. */
  private async download({ _links: links, size }: Artifact, cutAfter: number | undefined): Promise<Buffer | undefined> {
    const href = (links.download ?? links['download-http'])?.href ?? '';
    const { sendsTokenWithDownload = true } = this.options;
    const get = (range: string[]): string => this.head('GET', href, range, sendsTokenWithDownload);
    let start = Buffer.alloc(0);
    if (cutAfter !== undefined) {
      const cut = await RawClient.open(this.port());
      cut.send(get([]));
      while (start.length < cutAfter) {
        await new Promise((resolve) => setImmediate(resolve));
        const all = Buffer.concat(cut.pieces);
        start = all.includes('\r\n\r\n') ? all.subarray(all.indexOf('\r\n\r\n') + 4) : start;
      }
      start = start.subarray(0, cutAfter);
      cut.close();
    }
    const client = await RawClient.open(this.port());
    const range = start.length > 0 ? [`Range: bytes=${start.length}-`] : [];
    const response = await client.request(get(range));
    client.close();
    if (response.status !== (start.length > 0 ? 206 : 200)) return undefined;
    const bundle = Buffer.concat([start, response.body]);
    return bundle.length === size ? bundle : undefined;
  }

  private async json(method: string, url: string, body?: object): Promise<unknown> {
    const response = await this.send(method, url, body);
    if (response.status !== 200) throw new Error(`HTTP Error: ${response.status} ${response.body.toString()}`);
    return response.body.length > 0 ? JSON.parse(response.body.toString()) : undefined;
  }

  private async send(method: string, url: string, body?: object): Promise<RawResponse> {
    const { client } = this;
    if (!client) throw new Error('not connected');
    this.steps.push(`${method} ${pathOf(url).replace(this.base, '') || '/'}`.replace(/\d{2,}/, 'ID'));
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const type =
      payload === undefined
        ? []
        : ['Content-Type: application/json;charset=UTF-8', `Content-Length: ${Buffer.byteLength(payload)}`];
    return client.request(this.head(method, url, type) + (payload ?? ''));
  }

  private head(method: string, url: string, extra: readonly string[] = [], sendsToken = true): string {
    const { token, gateway = false } = this.options;
    const scheme = gateway ? 'GatewayToken' : 'TargetToken';
    return [
      `${method} ${pathOf(url)} HTTP/1.1`,
      `Host: 127.0.0.1:${this.port()}`,
      'User-Agent: rauc-hawkbit-c-agent/1.0',
      'Accept: application/json;charset=UTF-8',
      ...(token !== undefined && sendsToken ? [`Authorization: ${scheme} ${token}`] : []),
      ...extra,
      '',
      '',
    ].join('\r\n');
  }
}

function pathOf(url: string): string {
  return url.startsWith('/') ? url : url.slice(url.indexOf('/', url.indexOf('//') + 2));
}
