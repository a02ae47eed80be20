import { Subject, type Observable } from 'rxjs';
import { link, linked } from '../abort.js';
import { delay } from '../timers.js';
import type { KeptNotices } from './kept-notices.js';
import { Notifier, Undeliverable, type ReleaseNotice } from './notifier.js';

/** Time to say goodbye to a broker. */
const GOODBYE_MS = 1_000;
/** Longer than the connection timeout of the client libraries, because their messages say more. */
const CONNECT_MS = 15_000;

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

  override get lost(): Observable<void> {
    return this.lostSubject.asObservable();
  }

  override async open(signal: AbortSignal): Promise<KeptNotices | undefined> {
    await this.close();
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

  /** Sends a notice. A connection on which that fails is dropped. The next `open` creates a new one. */
  override async publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void> {
    const { link } = this;
    if (!link) throw new Error('there is no connection to the broker. The message waits');
    try {
      await linked([signal, link.gone.signal], Infinity, (either) =>
        unlessAborted(this.send(link.connection, notice), either),
      );
    } catch (error) {
      if (error instanceof Undeliverable) throw error;
      this.drop(link);
      throw signal.aborted ? new Error('the broker has not confirmed the message in time. Check the broker') : error;
    }
  }

  override async close(): Promise<void> {
    const { link } = this;
    this.link = undefined;
    if (!link) return;
    await Promise.race([this.disconnect(link.connection).catch(() => undefined), delay(GOODBYE_MS)]);
    this.destroy(link.connection);
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
      throw deadline.signal.aborted && !signal.aborted
        ? new Error(`no connection to the broker within ${CONNECT_MS / 1000} s. Check host, port and firewall`)
        : error;
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
      reject(new Error('the connection was lost before the broker confirmed the message. It is sent again'));
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
