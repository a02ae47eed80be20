import type { Replicas } from '../replicas/index.js';
import { delay } from '../timers.js';

/** Longer than a notice may take to be confirmed. If the replica that has claimed it ends, another one sends it then. */
const CLAIM_MS = 15_000;
const ASK_AGAIN_MS = 500;
/** A replica that starts within this time does not send again what was sent. */
const KEPT_MS = 30 * 86_400_000;

/** A notice to one receiver. */
export interface ClaimedNotice {
  /** Names the receiver, and what the notice is about. */
  readonly key: string;
  /** What it says, and about which release. */
  readonly content: string;
  /** Since when the receiver is known to lack it, on the wall clock. Undefined if that is not known. */
  readonly missingSinceMs: number | undefined;
}

/** Has each notice sent by one of the replicas (decision 69). Without the others, every replica sends. */
export class NoticeClaims {
  constructor(private readonly replicas: Replicas) {}

  /**
   * Sends a notice unless another replica has sent it. Waits while another replica sends one with the same key.
   *
   * @param isCurrent whether it still has to be sent
   */
  async send(
    { key, content, missingSinceMs }: ClaimedNotice,
    isCurrent: () => boolean,
    signal: AbortSignal,
    send: () => Promise<void>,
  ): Promise<void> {
    const { replicas } = this;
    if (!replicas.isShared) {
      await send();
      return;
    }
    while (!(await replicas.claim(key, CLAIM_MS))) {
      await delay(ASK_AGAIN_MS, signal);
      if (!isCurrent()) return;
    }
    try {
      const { atMs, text } = partsOf(await replicas.noted(key));
      if (text === content && (missingSinceMs === undefined || atMs >= missingSinceMs)) return;
      const sentMs = Date.now();
      await send();
      await replicas.note(key, `${sentMs} ${content}`, KEPT_MS);
    } finally {
      await replicas.release(key);
    }
  }
}

function partsOf(noted: string | undefined): { atMs: number; text: string | undefined } {
  const [, atMs, text] = /^(\d{1,15}) ([\s\S]*)$/.exec(noted ?? '') ?? [];
  return { atMs: Number(atMs ?? 0), text };
}
