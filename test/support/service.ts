import type { ConnectionOptions } from 'node:tls';
import request from 'supertest';
import { Agent, fetch as fetchBy } from 'undici';
import { PinoLogger } from '../../src/logging/index.js';
import { parseSettings, type GivenValues, type Variable } from '../../src/config/index.js';
import { expectStop, stopped } from './leftovers.js';
import { Service, type ServiceOptions } from '../../src/service.js';

export type TestOptions = Partial<Record<Variable, string>>;

/** A line of the log, parsed. */
export type LogLine = Record<string, unknown> & { event?: string; level: string };

/** The service in this process, on free ports of 127.0.0.1, with its log lines. */
export class TestService {
  private constructor(
    readonly service: Service,
    readonly logs: LogLine[],
    private readonly tls: ConnectionOptions | undefined,
  ) {
    this.dispatcher = tls && new Agent({ connect: tls as object });
  }

  private readonly dispatcher: Agent | undefined;

  static async start(
    options: TestOptions,
    parts: Partial<ServiceOptions> = {},
    tls?: ConnectionOptions,
  ): Promise<TestService> {
    const values: TestOptions = {
      LISTEN_ADDR: '127.0.0.1:0',
      METRICS_LISTEN_ADDR: '127.0.0.1:0',
      SHUTDOWN_GRACE: '5s',
      ...options,
    };
    const given: GivenValues = Object.fromEntries(
      // As in the environment, an empty value is none.
      Object.entries(values)
        .filter(([, value]) => value !== '')
        .map(([variable, value]) => [variable, { value, where: variable }]),
    );
    const logs: LogLine[] = [];
    const destination = { write: (line: string) => void logs.push(JSON.parse(line) as LogLine) };
    const logger = new PinoLogger({ level: 'trace', secrets: [], destination });
    const service = await Service.start({ given, settings: parseSettings(given), logger, ...parts });
    const started = new TestService(service, logs, tls);
    expectStop(started, () => started.stop());
    return started;
  }

  get port(): number {
    return this.service.address.port;
  }

  get url(): string {
    return `${this.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  get managementUrl(): string {
    return `http://127.0.0.1:${this.service.managementAddress.port}`;
  }

  stop(): Promise<void> {
    stopped(this);
    void this.dispatcher?.destroy();
    return this.service.stop();
  }

  /** Asks a route of Nest on the device port: webhooks and probes. */
  get api(): ReturnType<typeof request> {
    return request(this.url);
  }

  /** Asks a route of Nest on the management port. */
  get management(): ReturnType<typeof request> {
    return request(this.managementUrl);
  }

  /** Asks the device port, by TLS where it speaks that. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const { dispatcher } = this;
    if (!dispatcher) return fetch(`${this.url}${path}`, init);
    return fetchBy(`${this.url}${path}`, { ...(init as object), dispatcher });
  }

  version(device: string, init: RequestInit = {}): Promise<Response> {
    return this.fetch(`/version?device=${device}`, init);
  }

  firmware(device: string, init: RequestInit = {}): Promise<Response> {
    return this.fetch(`/firmware?device=${device}`, init);
  }

  /** The first line of `/version`, or the status when it is no success. */
  async versionOf(device: string): Promise<string | number> {
    const response = await this.version(device);
    const body = await response.text();
    return response.ok ? (body.split('\n')[0] ?? '') : response.status;
  }

  async metrics(): Promise<string> {
    return (await this.management.get('/metrics').expect(200)).text;
  }

  events(name: string): LogLine[] {
    return this.logs.filter((line) => line.event === name);
  }
}

/** No event takes so long on any machine: whoever waits longer waits in vain. */
const HANGS_AFTER_MS = 120_000;

/** Resolves when `condition` holds; looks again at every turn of the event loop that something happened in. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = HANGS_AFTER_MS,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
