import { after, turn } from '../timers.js';
import type { EventMessage } from './event-message.js';

/** The result of a message, as metrics count it. */
export type EventResult =
  'queued' | 'reported' | 'ignored' | 'unknown' | 'handled' | 'invalid' | 'too_large' | 'dropped' | 'failed';

/** As for the body of a webhook. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Messages that wait, for brokers that cannot be held back. Further ones are dropped. */
const MAX_WAITING = 1_000;
/** Bytes of these messages. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** Messages that are handled at the same time: own handlers need no time, but those of a team may. */
const CONCURRENCY = 16;
/** After so many messages, everything else that waits in the event loop has its turn: devices come first. */
const BATCH = 16;
/** A handler that does not end within this time has failed, and does not hold up the others. */
const HANDLER_MS = 10_000;

interface Waiting {
  readonly message: EventMessage;
  readonly done: (result: EventResult) => void;
}

/**
 * The messages of one broker that wait for their handlers. It is bounded in number and size, and handles few messages in
 * a row, so that a flood of messages does not delay devices.
 */
export class Intake {
  private readonly waiting: Waiting[] = [];
  private waitingBytes = 0;
  private running = 0;
  private started = 0;
  private pausing = false;
  private ended = false;

  /** @param handle must not reject */
  constructor(private readonly handle: (message: EventMessage) => Promise<EventResult>) {}

  get depth(): number {
    return this.waiting.length;
  }

  get isFull(): boolean {
    return this.waiting.length >= MAX_WAITING || this.waitingBytes >= MAX_WAITING_BYTES;
  }

  /**
   * Handles a message. Resolves to its result: a broker that confirms messages waits for it before it sends more.
   */
  take(message: EventMessage): Promise<EventResult> {
    if (this.ended || this.isFull) return Promise.resolve('dropped');
    if (message.payload.length > MAX_MESSAGE_BYTES) return Promise.resolve('too_large');
    return new Promise((done) => {
      this.waiting.push({ message, done });
      this.waitingBytes += message.payload.length;
      this.next();
    });
  }

  /** Drops what waits. Messages that are being handled end by themselves. */
  end(): void {
    this.ended = true;
    this.waitingBytes = 0;
    for (const { done } of this.waiting.splice(0)) done('dropped');
  }

  private next(): void {
    while (!this.pausing && this.running < CONCURRENCY) {
      const entry = this.waiting.shift();
      if (!entry) return;
      this.waitingBytes -= entry.message.payload.length;
      this.running++;
      void this.run(entry);
      if (++this.started % BATCH === 0) this.pause();
    }
  }

  private pause(): void {
    this.pausing = true;
    void turn().then(() => {
      this.pausing = false;
      this.next();
    });
  }

  private async run({ message, done }: Waiting): Promise<void> {
    const result = await this.inTime(this.handle(message));
    this.running--;
    done(result);
    this.next();
  }

  private inTime(work: Promise<EventResult>): Promise<EventResult> {
    return new Promise((resolve) => {
      const timer = after(HANDLER_MS, () => {
        resolve('failed');
      });
      void work.then((result) => {
        timer.stop();
        resolve(result);
      });
    });
  }
}
