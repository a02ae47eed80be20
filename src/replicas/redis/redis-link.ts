import { Logger } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import { Subject, type Observable } from 'rxjs';
import { backoffMs } from '../../backoff.js';
import { brokerFailure } from '../../broker/index.js';
import { ExplainedError, OtaError, reasonOf } from '../../errors.js';
import { after, every, type Timer } from '../../timers.js';
import type { RedisLink, RedisNews, RedisScript } from '../redis-connection.js';
import type { RedisClient, RedisPlace } from './redis-client.js';
import { SHARED_REDIS_REFUSALS } from './redis-refusals.js';

/** A request waits for Redis no longer than this, once: after a failure, nobody waits until Redis works again. */
const ANSWER_MS = 250;
/** The start waits for the first connection so long. */
const START_MS = 5_000;
const PROBE_MS = 1_000;
const MIN_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 1_000;
const MAX_MESSAGE = 4_096;
const CHANNEL = 'news';

/**
 * The connection to the Redis that replicas share. While Redis fails, `run` rejects at once, and the link looks in the
 * background whether Redis accepts writes again.
 */
export class ConnectedRedis implements RedisLink {
  /** Names this process among the replicas. */
  readonly replica = randomBytes(8).toString('hex');
  private readonly logger = new Logger('Redis');
  private readonly heard = new Subject<RedisNews>();
  private readonly back = new Subject<void>();
  private readonly client: RedisClient;
  private readonly listener: RedisClient;
  private readonly defined = new Set<string>();
  private readonly stop = new AbortController();
  private readonly refresh: Timer;
  private up = false;
  private failures = 0;
  private sinceMs = 0;
  private probing: Timer | undefined;
  private problem: Error | undefined;

  constructor(readonly place: RedisPlace) {
    this.client = place.create();
    this.listener = place.create();
    // Without a listener, Node would end the process. The reason is told with the command that fails.
    this.client.on('error', (error: Error) => (this.problem = error));
    this.listener.on('error', () => undefined);
    this.client.on('close', () => {
      if (this.up) this.failed(this.problem ?? new Error('the connection is closed'));
    });
    this.listener.on('ready', () => void this.listen());
    this.listener.on('message', (_channel: string, message: string) => {
      this.hear(message);
    });
    this.refresh = every(PROBE_MS, () => {
      if (this.listener.status === 'end' && !this.stop.signal.aborted)
        void this.listener.connect().catch(() => undefined);
    });
  }

  /** Connects. Resolves after the first connection, or after five seconds without one. Never rejects. */
  async start(): Promise<void> {
    void this.client.connect().catch(() => undefined);
    void this.listener.connect().catch(() => undefined);
    const deadline = performance.now() + START_MS;
    await new Promise<void>((resolve) => {
      const look = async (): Promise<void> => {
        if (await this.probe()) resolve();
        else if (performance.now() > deadline || this.stop.signal.aborted) resolve();
        else after(50, () => void look());
      };
      void look();
    });
    if (!this.up) this.failed(this.problem ?? new Error('no answer within the time limit'));
  }

  /** Whether Redis answered last. */
  get isUp(): boolean {
    return this.up;
  }

  /** Emits when Redis works again: what was missed has to be read, what waits can be written. */
  get restored(): Observable<void> {
    return this.back;
  }

  /** Messages of other replicas. */
  get news(): Observable<RedisNews> {
    return this.heard;
  }

  /** Name of a key. Keys of the same `tag` are on the same node of a cluster. */
  key(tag: string, name: string): string {
    return `${this.place.prefix}:{${tag}}:${name}`;
  }

  /** Runs a command. Rejects with OtaError `unavailable` within 250 ms, at once while Redis fails. */
  call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.guarded(() => this.client.call(command, args.map(String)));
  }

  /** Runs a script. Rejects as `call` does: then it may have run, or may still run. */
  script(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.guarded(() => {
      if (!this.defined.has(script.name)) {
        this.client.defineCommand(script.name, { numberOfKeys: script.keys, lua: script.lua });
        this.defined.add(script.name);
      }
      const commands = this.client as unknown as Record<string, (...given: (string | number)[]) => Promise<unknown>>;
      return commands[script.name]?.(...keys, ...args) ?? Promise.reject(new Error('no such script'));
    });
  }

  /** Tells the other replicas. It may be lost. */
  tell(topic: string, text: string): void {
    if (!this.up) return;
    const message = JSON.stringify({ from: this.replica, topic, text });
    this.call('PUBLISH', this.channel, message).catch(() => undefined);
  }

  /** The name of the channel, for scripts that tell the others in the same step. */
  get channel(): string {
    return `${this.place.prefix}:${CHANNEL}`;
  }

  close(): void {
    this.stop.abort();
    this.up = false;
    this.refresh.stop();
    this.probing?.stop();
    this.client.disconnect();
    this.listener.disconnect();
    this.heard.complete();
    this.back.complete();
  }

  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    if (!this.up) throw new OtaError('unavailable', 'Redis cannot be reached');
    try {
      return await inTime(work, ANSWER_MS);
    } catch (error) {
      this.failed(error);
      throw new OtaError('unavailable', `Redis cannot be used: ${reasonOf(error)}`, { cause: error });
    }
  }

  private failed(error: unknown): void {
    if (this.stop.signal.aborted || this.probing) return;
    const wasUp = this.up;
    this.up = false;
    // A link that fails again and again must not make requests wait each time.
    if (performance.now() - this.sinceMs > 10_000) this.failures = 0;
    if (wasUp || this.failures === 0) void this.explain(error);
    // Commands that wait for an answer would be answered late, and a sentinel may know another primary.
    this.reconnect();
    this.probeLater();
  }

  private async explain(error: unknown): Promise<void> {
    const { address } = this.place;
    const cause = await brokerFailure(this.problem ?? error, address, SHARED_REDIS_REFUSALS, this.stop.signal).catch(
      () => error,
    );
    if (this.stop.signal.aborted) return;
    const reason = cause instanceof ExplainedError ? cause.message : reasonOf(error);
    this.logger.warn({ event: 'redis.failed', reason });
  }

  private probeLater(): void {
    this.failures++;
    this.probing = after(
      backoffMs(this.failures, MIN_BACKOFF_MS, MAX_BACKOFF_MS),
      () => {
        void this.probe().then((works) => {
          this.probing = undefined;
          if (works || this.stop.signal.aborted) return;
          this.reconnect();
          this.probeLater();
        });
      },
      { background: true },
    );
  }

  /** Looks whether Redis accepts writes: a replica, or a server without memory, answers pings. */
  private async probe(): Promise<boolean> {
    try {
      const key = this.key('probe', this.replica);
      await inTime(() => this.client.call('SET', [key, '1', 'EX', '60']), PROBE_MS);
    } catch (error) {
      if (!/isn't writeable|Connection is closed/.test(reasonOf(error))) this.problem = error as Error;
      return false;
    }
    if (this.stop.signal.aborted) return false;
    const wasDown = this.failures > 0;
    this.up = true;
    this.problem = undefined;
    this.sinceMs = performance.now();
    this.logger.log({ event: wasDown ? 'redis.restored' : 'redis.connected', address: this.place.address.shown });
    this.back.next();
    return true;
  }

  private reconnect(): void {
    if (this.stop.signal.aborted) return;
    if (this.client.status === 'end') void this.client.connect().catch(() => undefined);
    else if (this.client.status === 'ready') this.client.disconnect(true);
  }

  private async listen(): Promise<void> {
    // The library subscribes again by itself after the first time.
    await this.listener.subscribe(this.channel).catch(() => undefined);
  }

  private hear(message: string): void {
    if (message.length > MAX_MESSAGE) return;
    let parsed: unknown;
    try {
      parsed = JSON.parse(message);
    } catch {
      return;
    }
    if (typeof parsed !== 'object' || parsed === null) return;
    const { from, topic, text } = parsed as Record<string, unknown>;
    if (from === this.replica || typeof topic !== 'string' || typeof text !== 'string') return;
    this.heard.next({ topic, text });
  }
}

async function inTime<T>(work: () => Promise<T>, ms: number): Promise<T> {
  let timer: Timer | undefined;
  try {
    return await Promise.race([
      work(),
      new Promise<never>((_resolve, reject) => {
        timer = after(ms, () => {
          reject(new Error('no answer within the time limit'));
        });
      }),
    ]);
  } finally {
    timer?.stop();
  }
}
