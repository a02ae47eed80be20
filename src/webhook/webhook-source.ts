import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { RepositoryChange } from './repository-change.js';

/**
 * One sender of webhooks: what its bodies look like. Being an abstract class, it is also the base of those that a
 * platform team adds.
 *
 * @publicApi
 */
export abstract class WebhookSource {
  /** The last part of its path: `POST /webhooks/{name}`. */
  abstract readonly name: string;
  /**
   * The changes that a body tells of; none for events that change no release. Throws a ZodError, or an Error whose
   * message is one line, when the body is of another shape.
   */
  abstract parse(body: unknown, headers: IncomingHttpHeaders): RepositoryChange[];
  /** The header with an HMAC of the body, hex, maybe behind `sha256=`; undefined when the sender makes none. */
  readonly signatureHeader: string | undefined = undefined;
  /** Headers, beside `Authorization`, in which the sender may show the secret. */
  readonly secretHeaders: readonly string[] = [];
}

const DIGEST = /^sha(?:256|512):[0-9a-f]+$/;

/** A tag, or a digest where senders put one in the tag's place (Harbor, zot). */
export function referenceOf(reference: string | null | undefined): Pick<RepositoryChange, 'tag' | 'digest'> {
  if (!reference) return {};
  return DIGEST.test(reference) ? { digest: reference } : { tag: reference };
}

/** A text that may be missing or null. */
export const optionalText = z.string().nullish();
