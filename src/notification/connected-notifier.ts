import { Subject, type Observable } from 'rxjs';
import { link, linked } from '../abort.js';
import { ExplainedError } from '../errors.js';
import { delay } from '../timers.js';
import { brokerFailure, type BrokerAddress, type Refusal } from '../broker/index.js';
import type { KeptNotices } from './kept-notices.js';
import { Notifier, Undeliverable, type ReleaseNotice } from './notifier.js';

/** Time to say goodbye to a broker. */
const GOODBYE_MS = 1_000;
/** Longer than the connection timeout of the client libraries, because their messages say more. */
const CONNECT_MS = 15_000;

/** `brokerFailure` explains it. */
const CONNECTION_CLOSED = 'closed connection';

interface Link<C> {
  readonly connection: C;
  /** Aborted when the connection is lost. */
  readonly gone: AbortController;
}

/**
 * A notifier with one connection at a time. Every `open` creates a new one. A message that was not confirmed must not
 * be sent after a newer one, so the client libraries must not reconnect and resend by themselves (decision 16).
 */
export abstract class ConnectedNotifier<C> extends Notifier {
  private readonly lostSubject = new Subject<void>();
  private link: Link<C> | undefined;

  protected abstract readonly address: BrokerAddress;
  /** What this kind of broker says when it refuses. */
  protected abstract readonly refusals: readonly Refusal[];
  /** Connects, or rejects. `onLost` is called when the connection has ended, for any reason. */
  protected abstract connect(onLost: () => void): Promise<C>;
  /** Returns the last payload of each device, if the broker keeps it. */
  protected abstract readKept(connection: C, signal: AbortSignal): Promise<KeptNotices | undefined>;
  /** Resolves when the broker has confirmed. */
  protected abstract send(connection: C, notice: ReleaseNotice): Promise<void>;
  /** Closes the connection. It may fail, and may never resolve if the broker is gone. */
  protected abstract disconnect(connection: C): Promise<void>;
  /** Closes the connection at once. */
  protected abstract destroy(connection: C): void;

  override readonly sendsChannels = true;

  override get lost(): Observable<void> {
    return this.lostSubject.asObservable();
  }

  override async open(signal: AbortSignal): Promise<KeptNotices | undefined> {
    await this.close();
    try {
      return await this.establish(signal);
    } catch (error) {
      throw await this.explain(error, signal);
    }
  }

  /** Sends a notice. A connection on which that fails is dropped. The next `open` creates a new one. */
  override async publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void> {
    const { link } = this;
    if (!link) throw new ExplainedError(`there is no connection to ${this.address.shown}. The message waits`);
    try {
      await linked([signal, link.gone.signal], Infinity, (either) =>
        unlessAborted(this.send(link.connection, notice), either),
      );
    } catch (error) {
      if (error instanceof Undeliverable) throw error;
      this.drop(link);
      if (!signal.aborted) throw await this.explain(error, signal);
      throw new ExplainedError(
        `${this.address.shown} has not confirmed the message within the time limit. Check the log of the broker, and the network`,
        { cause: error },
      );
    }
  }

  override async close(): Promise<void> {
    const { link } = this;
    this.link = undefined;
    if (!link) return;
    await Promise.race([this.disconnect(link.connection).catch(() => undefined), delay(GOODBYE_MS)]);
    this.destroy(link.connection);
  }

  private async establish(signal: AbortSignal): Promise<KeptNotices | undefined> {
    const gone = new AbortController();
    const connecting = this.connect(() => {
      gone.abort();
      if (this.link?.gone === gone) this.drop(this.link);
    });
    const connection = await this.inTime(connecting, signal);
    this.link = { connection, gone };
    try {
      return await linked([signal, gone.signal], Infinity, (either) =>
        unlessAborted(this.readKept(connection, either), either),
      );
    } catch (error) {
      this.link = undefined;
      this.destroy(connection);
      throw error;
    }
  }

  private explain(error: unknown, signal: AbortSignal): Promise<Error> {
    return brokerFailure(error, this.address, this.refusals, signal);
  }

  /**
   * Returns the connection. If it is established too late, it is closed at once: some client libraries wait for ever.
   */
  private async inTime(connecting: Promise<C>, signal: AbortSignal): Promise<C> {
    const deadline = link([signal], CONNECT_MS);
    try {
      return await unlessAborted(connecting, deadline.signal);
    } catch (error) {
      connecting.then(
        (late) => {
          this.destroy(late);
        },
        () => undefined,
      );
      throw deadline.signal.aborted && !signal.aborted ? new Error(`timed out after ${CONNECT_MS / 1000} s`) : error;
    } finally {
      deadline.end();
    }
  }

  private drop(link: Link<C>): void {
    if (this.link !== link) return;
    this.link = undefined;
    this.destroy(link.connection);
    this.lostSubject.next();
  }
}

/** Returns the result of `work`. Rejects as soon as `signal` is aborted. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(new Error(CONNECTION_CLOSED));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort);
    work
      .finally(() => {
        signal.removeEventListener('abort', onAbort);
      })
      .then(resolve, reject);
  });
}
