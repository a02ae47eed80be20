import { Fleet, type UnitState } from '../../../src/fleet/index.js';
import type { TestService } from '../service.js';

/** The answer to a poll. */
export interface PollAnswer {
  readonly config: { readonly polling: { readonly sleep: string } };
  readonly _links?: Record<string, { readonly href: string }>;
}

/** A unit whose DDI requests a test writes itself. */
export class DdiUnit {
  constructor(
    private readonly service: () => TestService,
    readonly unit: string,
    readonly product = 'gateway',
    private readonly headers: Readonly<Record<string, string>> = {},
    readonly tenant = product,
  ) {}

  get base(): string {
    return `/${this.tenant}/controller/v1/${this.unit}`;
  }

  send(method: string, path = '', body?: unknown): Promise<Response> {
    return this.service().fetch(
      path.startsWith('http') ? new URL(path).pathname + new URL(path).search : this.base + path,
      {
        method,
        headers: { ...this.headers, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      },
    );
  }

  async status(method: string, path = '', body?: unknown): Promise<number> {
    const response = await this.send(method, path, body);
    await response.arrayBuffer();
    return response.status;
  }

  async poll(): Promise<PollAnswer> {
    const response = await this.send('GET');
    if (response.status !== 200) throw new Error(`poll: ${response.status} ${await response.text()}`);
    return (await response.json()) as PollAnswer;
  }

  /** The links of a poll, without configData, as `cancelAction/123`. */
  async link(): Promise<string | undefined> {
    const { deploymentBase, cancelAction } = (await this.poll())._links ?? {};
    const href = (cancelAction ?? deploymentBase)?.href;
    return href === undefined ? undefined : new URL(href).pathname.slice(this.base.length + 1);
  }

  /** The id of the action that is offered; it is handed out. */
  async action(): Promise<string> {
    const link = await this.link();
    if (!link?.startsWith('deploymentBase/')) throw new Error(`no deployment, but ${link ?? 'nothing'}`);
    const { id } = (await (await this.send('GET', `/${link}`)).json()) as { id: string };
    return id;
  }

  feedback(id: string, execution: string, finished = 'none', details?: unknown): Promise<number> {
    const status = { execution, result: { finished }, ...(details === undefined ? {} : { details }) };
    return this.status('POST', `/deploymentBase/${id}/feedback`, { id, time: '20261125T181123', status });
  }

  cancelFeedback(id: string, execution: string, finished = 'success'): Promise<number> {
    return this.status('POST', `/cancelAction/${id}/feedback`, { id, status: { execution, result: { finished } } });
  }

  configure(data: Record<string, string>, mode?: string | null): Promise<number> {
    return this.status('PUT', '/configData', { ...(mode === undefined ? {} : { mode }), data });
  }

  /** What the server knows of the unit. */
  async state(): Promise<UnitState | undefined> {
    const fleet = this.service().service.app.get(Fleet, { strict: false });
    await fleet.flush();
    return fleet.find({ product: this.product, unit: decodeURIComponent(this.unit) });
  }
}
