import { Logger } from '@nestjs/common';
import { Server, type CustomTransportStrategy, type Deserializer, type IncomingEvent } from '@nestjs/microservices';
import { isObservable, lastValueFrom } from 'rxjs';
import { link } from '../abort.js';
import { backoffMs } from '../backoff.js';
import { brokerFailure } from '../broker/index.js';
import { explained } from '../errors.js';
import type { EventMeter } from '../metrics/index.js';
import { delay } from '../timers.js';
import type { ConfiguredBroker } from './adapters.js';
import type { EventBroker, EventConnection, Subscription } from './event-broker.js';
import { EventContext, type EventMessage } from './event-message.js';
import { Intake, MAX_MESSAGE_BYTES, type EventResult } from './intake.js';
import { Problems } from './problems.js';
import { matches, routeOf, WEBHOOK, type Route } from './topics.js';

/** What the own handlers get: the message, and what its topic says. */
export interface RoutedMessage<R extends Route = Route> {
  readonly route: R;
  /** Name and kind of the broker. */
  readonly broker: string;
  readonly kind: string;
  /** The parsed JSON of the payload. Undefined if it is not JSON. */
  readonly content: unknown;
  readonly message: EventMessage;
}

/** What the own handlers return. */
export interface Verdict {
  readonly result: EventResult;
  /** Why a message is invalid, one line. */
  readonly reason?: string;
}

const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
/** A connection that lasted so long was a good one: the next attempt follows soon. */
const STABLE_MS = 30_000;
/** Longer than the connection timeouts of the client libraries, because their messages say more. */
const OPEN_MS = 20_000;
const GOODBYE_MS = 1_000;
const CLOSED = 'closed connection';

/**
 * A transport of Nest for one broker (custom transporter, decision 54). Own messages go to the own handlers, and every
 * message goes to the handlers of the application whose pattern matches its topic.
 */
export class EventServer extends Server implements CustomTransportStrategy {
  /** Nest then passes on the errors of handlers, which are counted here. */
  override readonly propagatesEventHandlerErrors = true;
  protected override readonly logger = new Logger('EventServer');
  private readonly broker: EventBroker;
  private readonly intake: Intake;
  private readonly problems: Problems;
  private readonly stop = new AbortController();
  private connection: EventConnection | undefined;
  private filters: readonly string[] = [];
  private failures = 0;
  /** Why the connection failed, as it was logged last. */
  private toldProblem: string | undefined;
  private work: Promise<void> | undefined;

  constructor(
    private readonly configured: ConfiguredBroker,
    private readonly meter: EventMeter,
  ) {
    super();
    this.broker = configured.broker;
    this.transportId = this.broker.transport;
    const { name } = this.broker;
    this.problems = new Problems(this.logger, name);
    this.deserializer = new EventDeserializer();
    this.intake = new Intake((message) => this.handle(message));
    meter.observe(name, () => ({ connected: this.connection !== undefined, waiting: this.intake.depth }));
  }

  /** Starts to connect, in the background: devices are served without the broker. */
  override listen(callback: () => void): void {
    this.work = this.run();
    callback();
  }

  /** Closes the connection. Messages that wait are dropped; brokers that store them send them again. */
  override async close(): Promise<void> {
    this.stop.abort();
    this.intake.end();
    await this.work;
  }

  override on(): never {
    throw new Error('the events of the client library are not passed on');
  }

  override unwrap(): never {
    throw new Error('the client library is not passed on: connections come and go');
  }

  private async run(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      const startedMs = performance.now();
      const problem = await this.session();
      if (this.hasEnded()) return;
      this.failures = performance.now() - startedMs > STABLE_MS ? 1 : this.failures + 1;
      const waitMs = backoffMs(this.failures, MIN_BACKOFF_MS, MAX_BACKOFF_MS);
      const failure = await brokerFailure(problem, this.broker.address, this.broker.refusals, signal);
      const { reason, ...more } = explained(failure);
      // An operator needs to know it once.
      this.logger[reason === this.toldProblem ? 'debug' : 'warn']({
        event: 'events.disconnected',
        broker: this.broker.name,
        failures: this.failures,
        retryInMs: Math.round(waitMs),
        reason,
        ...more,
      });
      this.toldProblem = reason;
      await delay(waitMs, signal).catch(() => undefined);
    }
  }

  private hasEnded(): boolean {
    return this.stop.signal.aborted;
  }

  /** Connects, and resolves to the problem when the connection has ended. */
  private async session(): Promise<unknown> {
    const lost = new AbortController();
    const over = link([lost.signal, this.stop.signal]);
    try {
      const connection = (this.connection = await this.opened(lost));
      this.problems.forget();
      this.toldProblem = undefined;
      this.logger.log({ event: 'events.connected', broker: this.broker.name, failures: this.failures });
      await aborted(over.signal);
      this.connection = undefined;
      if (this.stop.signal.aborted) await Promise.race([connection.close().catch(() => undefined), delay(GOODBYE_MS)]);
      connection.destroy();
      return new Error(CLOSED);
    } catch (error) {
      return error;
    } finally {
      over.end();
    }
  }

  /** Returns a connection. One that comes about too late is closed at once. */
  private async opened(lost: AbortController): Promise<EventConnection> {
    const take = (message: EventMessage): Promise<EventResult> => this.take(message);
    const subscriptions = this.subscriptions();
    this.filters = subscriptions.map(({ filter }) => filter);
    const late = link([this.stop.signal], OPEN_MS);
    const onLost = (): void => {
      lost.abort();
    };
    const opening = this.broker.open(subscriptions, take, onLost, late.signal);
    try {
      return await Promise.race([
        opening,
        aborted(late.signal).then(() => {
          throw new Error(`timed out after ${OPEN_MS / 1000} s`);
        }),
      ]);
    } catch (error) {
      void opening.then(
        (connection) => {
          connection.destroy();
        },
        () => undefined,
      );
      throw error;
    } finally {
      late.end();
    }
  }

  private subscriptions(): Subscription[] {
    const { subscribe } = this.configured;
    return [
      ...[...this.broker.ownFilters, ...(subscribe === undefined ? [] : [subscribe])].map((filter) => ({
        filter,
        extras: {},
      })),
      ...this.patterns().map((filter) => ({ filter, extras: this.messageHandlers.get(filter)?.extras ?? {} })),
    ];
  }

  /** The patterns of handlers of the application. */
  private patterns(): string[] {
    return [...this.messageHandlers].flatMap(([pattern, { isEventHandler }]) =>
      isEventHandler && !pattern.startsWith('otaflux:') ? [pattern] : [],
    );
  }

  private async take(message: EventMessage): Promise<EventResult> {
    // A flood must cost as little as possible.
    const isCopy =
      !this.intake.isFull && message.filter !== undefined && message.filter !== this.firstFilter(message.topic);
    if (isCopy) return 'ignored';
    const result = await this.intake.take(message);
    this.meter.received(this.broker.name, result);
    if (result === 'too_large')
      this.problems.report(
        'too_large',
        `a message has more than ${MAX_MESSAGE_BYTES} bytes. Send fewer events at once`,
      );
    if (result === 'dropped' && !this.stop.signal.aborted)
      this.problems.report('dropped', 'messages arrive faster than they are handled, and some were dropped');
    return result;
  }

  /** The subscription that counts if several match, because each gets a copy. */
  private firstFilter(topic: string): string | undefined {
    return this.filters.find((filter) => matches(this.broker.style, filter, topic));
  }

  /** Passes a message to all its handlers. Never rejects. */
  private async handle(message: EventMessage): Promise<EventResult> {
    const { data } = (await this.deserializer.deserialize(message)) as { data: unknown };
    const results: EventResult[] = [];
    const route = this.routeOf(message);
    if (route) results.push(await this.handleOwn(route, message, data));
    for (const pattern of this.patterns())
      if (matches(this.broker.style, pattern, message.topic))
        results.push(await this.handleForeign(pattern, message, data));
    return results[0] ?? 'ignored';
  }

  private routeOf(message: EventMessage): Route | undefined {
    const levels = this.broker.levelsOf(message);
    const route = levels && routeOf(levels);
    if (route) return route;
    const { subscribe, source } = this.configured;
    return subscribe !== undefined && matches(this.broker.style, subscribe, message.topic)
      ? { pattern: WEBHOOK, source }
      : undefined;
  }

  private async handleOwn(route: Route, message: EventMessage, content: unknown): Promise<EventResult> {
    const { name: broker, kind } = this.broker;
    const routed: RoutedMessage = { broker, kind, route, message, content };
    const verdict = (await this.answerOf(route.pattern, routed, message)) as Verdict | undefined;
    if (!verdict) return 'failed';
    if (verdict.reason !== undefined)
      this.problems.report(`${route.pattern} ${verdict.result}`, verdict.reason, message.topic);
    return verdict.result;
  }

  private async handleForeign(pattern: string, message: EventMessage, content: unknown): Promise<EventResult> {
    const answer = await this.answerOf(pattern, content ?? message.payload.toString('utf8'), message);
    return answer === undefined ? 'failed' : 'handled';
  }

  /** Returns what the handlers of `pattern` return, or undefined if one of them fails. Nest has logged the error. */
  private async answerOf(pattern: string, payload: unknown, message: EventMessage): Promise<unknown> {
    const context = new EventContext(this.broker.name, this.broker.kind, message);
    try {
      const answer: unknown = await this.messageHandlers.get(pattern)?.(payload, context);
      return isObservable(answer) ? await lastValueFrom(answer, { defaultValue: null }) : (answer ?? null);
    } catch {
      this.problems.report(`handler ${pattern}`, 'a handler failed. Its error is in the log', message.topic);
      return undefined;
    }
  }
}

/** Takes payloads as they are: JSON is parsed, other payloads have no content. There is no envelope as Nest writes it. */
class EventDeserializer implements Deserializer<EventMessage, IncomingEvent> {
  deserialize({ topic: pattern, payload }: EventMessage): IncomingEvent {
    try {
      return { pattern, data: JSON.parse(payload.toString('utf8')) as unknown };
    } catch {
      return { pattern, data: undefined };
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
  });
}
