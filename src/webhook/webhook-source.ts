import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { RepositoryChange } from './repository-change.js';

/**
 * Parses the webhooks of one sender. Extend this abstract class for your own sender.
 *
 * @publicApi
 */
export abstract class WebhookSource {
  /** The last part of its path: `POST /webhooks/{name}`. */
  abstract readonly name: string;
  /**
   * Returns the changes in a body. Returns none for events that change no release. Throws a ZodError, or an Error whose
   * message is one line, if the body has another shape.
   */
  abstract parse(body: unknown, headers: IncomingHttpHeaders): RepositoryChange[];
  /**
   * The header with an HMAC of the body in hex, with or without the prefix `sha256=`. Undefined if the sender does not
   * sign.
   */
  readonly signatureHeader: string | undefined = undefined;
  /** Headers in which the sender may send the secret, in addition to `Authorization`. */
  readonly secretHeaders: readonly string[] = [];
}

const DIGEST = /^sha(?:256|512):[0-9a-f]+$/;

/** A tag. Some senders put a digest in its place (Harbor, zot). */
export function referenceOf(reference: string | null | undefined): Pick<RepositoryChange, 'tag' | 'digest'> {
  if (!reference) return {};
  return DIGEST.test(reference) ? { digest: reference } : { tag: reference };
}

/** A text that may be missing or null. */
export const optionalText = z.string().nullish();
