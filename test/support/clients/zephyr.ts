import { createHash } from 'node:crypto';
import { RawClient, type RawResponse } from '../raw-client.js';

/** RESPONSE_BUFFER_SIZE: a longer answer ends up in memory of others before 4.1. */
const RESPONSE_BUFFER = 1_100;
const URL_BUFFER = 300;
const DOWNLOAD_HTTP_SIZE = 200;
const BASE_SIZE = 50;
/** More steps in one run are the endless loop of a link that does not disappear. */
const MAX_STEPS = 20;

interface Poll {
  readonly config: { readonly polling: { readonly sleep: string } };
  readonly _links?: Partial<Record<'cancelAction' | 'configData' | 'deploymentBase', { readonly href: string }>>;
}
interface Deployment {
  readonly id: string;
  readonly deployment: {
    readonly chunks: {
      readonly part: string;
      readonly artifacts: {
        readonly size: number;
        readonly hashes: { readonly sha256: string };
        readonly _links: { readonly 'download-http': { readonly href: string } };
      }[];
    }[];
  };
}

/** How a run ended, as `hawkbit_probe()` returns it. */
export type Ended = 'no update' | 'update installed' | `error: ${string}`;

/**
 * A unit with Zephyr's hawkBit client: its requests byte for byte, its buffers, and what it keeps in flash (zephyr
 * subsys/mgmt/hawkbit/hawkbit.c: the state machine of 4.1, and the code of 2023 before it).
 */
export class ZephyrUnit {
  /** The action that it has installed, in flash. */
  installed = 0;
  /** The image that it boots. */
  image: Buffer | undefined;
  /** The requests of the last run. */
  steps: string[] = [];
  sleep = '';
  private cutAfter: number | undefined;
  private requestsLeft = Infinity;

  constructor(
    private readonly port: () => number,
    readonly id: string,
    private readonly release: '2023' | '4.1' = '4.1',
    private readonly token?: string,
  ) {}

  /** Its tenant: a build option since 4.1. */
  get tenant(): string {
    return this.release === '4.1' ? 'default' : 'DEFAULT';
  }

  /** One run: polls until there is nothing to do any more. `cutAfter` ends a download after so many bytes. */
  async probe({ cutAfter, requests = Infinity }: { cutAfter?: number; requests?: number } = {}): Promise<Ended> {
    this.steps = [];
    this.cutAfter = cutAfter;
    this.requestsLeft = requests;
    const client = await RawClient.open(this.port());
    try {
      return await this.run(client);
    } catch (error) {
      return `error: ${error instanceof Error ? error.message : String(error)}`;
    } finally {
      client.close();
    }
  }

  private async run(client: RawClient): Promise<Ended> {
    for (;;) {
      if (this.steps.length > MAX_STEPS) throw new Error('it asks for ever');
      const poll = this.parsed(await this.request(client, 'GET', this.base)) as Poll;
      if (poll.config.polling.sleep.length !== 8) throw new Error(`sleep ${poll.config.polling.sleep}`);
      this.sleep = poll.config.polling.sleep;
      const { cancelAction, configData, deploymentBase } = poll._links ?? {};
      if (cancelAction) await this.cancel(client, cancelAction.href);
      else if (configData)
        await this.request(client, 'PUT', this.pathOf(configData.href), {
          mode: 'merge',
          data: { VIN: this.id },
        });
      else if (deploymentBase) {
        if (await this.deploy(client, deploymentBase.href)) return 'update installed';
      } else return 'no update';
    }
  }

  private get base(): string {
    return `/${this.tenant}/controller/v1/${this.id}`;
  }

  private async cancel(client: RawClient, href: string): Promise<void> {
    const tail = this.tailOf(href, 'cancelAction/');
    // The state machine skips the first digit.
    const digits = this.release === '4.1' ? tail.slice('cancelAction/'.length + 1) : tail.slice('cancelAction/'.length);
    const id = Number.parseInt(digits, 10);
    if (!(id > 0)) throw new Error(`invalid action id in ${href}`);
    const finished = this.installed === id ? 'failure' : 'success';
    const path = this.release === '4.1' ? this.pathOf(href) : `${this.base}/${tail}`;
    await this.request(client, 'POST', `${path}/feedback`, this.feedback(id, finished));
  }

  /** Returns whether an image was installed. */
  private async deploy(client: RawClient, href: string): Promise<boolean> {
    const path = this.release === '4.1' ? this.pathOf(href) : `${this.base}/${this.tailOf(href, 'deploymentBase/')}`;
    const { id, deployment } = this.parsed(await this.request(client, 'GET', path)) as Deployment;
    if (typeof id !== 'string' || !(Number(id) > 0 && Number(id) <= 2_147_483_647)) throw new Error(`id ${id}`);
    const [chunk, ...others] = deployment.chunks;
    if (chunk?.part !== 'bApp' || others.length > 0) throw new Error('expecting 1 chunk bApp');
    const [artifact, ...further] = chunk.artifacts;
    if (!artifact || further.length > 0) throw new Error('expecting 1 artifact');
    if (this.installed === Number(id)) {
      const feedback = this.feedback(Number(id), 'success');
      await this.request(client, 'POST', `${this.base}/deploymentBase/${id}/feedback`, feedback);
      return false;
    }
    const image = await this.download(client, artifact._links['download-http'].href);
    if (createHash('sha256').update(image).digest('hex') !== artifact.hashes.sha256) throw new Error('wrong hash');
    this.image = image;
    this.installed = Number(id);
    return true;
  }

  private async download(client: RawClient, href: string): Promise<Buffer> {
    const path = this.release === '4.1' ? this.pathOf(href) : href.slice(href.indexOf('/DEFAULT/controller/v1'));
    if (this.release === '2023' && !href.includes('/DEFAULT/controller/v1')) throw new Error(`unexpected ${href}`);
    if (path.length > DOWNLOAD_HTTP_SIZE - 1) throw new Error(`${path} is too big`);
    if (this.cutAfter === undefined) return (await this.request(client, 'GET', path)).body;
    client.send(this.head('GET', path));
    while (Buffer.concat(client.pieces).length < this.cutAfter) await new Promise((resolve) => setImmediate(resolve));
    throw new Error('download incomplete');
  }

  private pathOf(href: string): string {
    const path = href.slice(href.indexOf('/', href.indexOf('//') + 2));
    if (path.length + '/feedback'.length >= URL_BUFFER) throw new Error(`${path} is too big`);
    return path;
  }

  private tailOf(href: string, name: string): string {
    const tail = href.slice(href.indexOf(name));
    if (this.release === '2023' && tail.length > BASE_SIZE - 1) throw new Error(`${tail} is too big`);
    return tail;
  }

  private feedback(id: number, finished: 'success' | 'failure'): object {
    const status = { result: { finished }, execution: 'closed' };
    return this.release === '4.1' ? { status } : { id: String(id), time: '', status };
  }

  private async request(client: RawClient, method: string, path: string, body?: object): Promise<RawResponse> {
    if (this.requestsLeft-- <= 0) throw new Error('the unit has lost its power');
    this.steps.push(`${method} ${path.replace(this.base, '') || '/'}`.replace(/\d{2,}/, 'ID').replace(/\?.*/, ''));
    const response = await client.request(this.head(method, path, body));
    if (response.status !== 200) throw new Error(`denied: ${response.status}`);
    return response;
  }

  private head(method: string, path: string, body?: object): string {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    return [
      `${method} ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${this.port()}`,
      ...(this.token === undefined ? [] : [`Authorization: TargetToken ${this.token}`]),
      ...(payload === undefined
        ? []
        : ['Content-Type: application/json;charset=UTF-8', `Content-Length: ${payload.length}`]),
      '',
      payload ?? '',
    ].join('\r\n');
  }

  private parsed({ body }: RawResponse): unknown {
    if (body.length > RESPONSE_BUFFER - 1) throw new Error(`the answer has ${body.length} bytes`);
    return JSON.parse(body.toString());
  }
}
