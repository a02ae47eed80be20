import { OtaError } from '../../errors.js';
import type { RegistryResponse } from './transport.js';

/** 100,000 tags in pages of 100, the smallest that a known registry insists on. */
const MAX_PAGES = 1000;

/** The pages read so far: finds a loop. */
export class Pages {
  private readonly seen: Set<string>;

  constructor(first: URL) {
    this.seen = new Set([first.href]);
  }

  /** Throws OtaError `protocol` when `url` was read already, or there are too many. */
  add(url: URL): void {
    if (this.seen.has(url.href)) throw new OtaError('protocol', `paging goes in a circle at ${url.pathname}`);
    if (this.seen.size >= MAX_PAGES)
      throw new OtaError('protocol', `paging does not end after ${MAX_PAGES} pages of ${url.pathname}`);
    this.seen.add(url.href);
  }
}

/**
 * Where the page after `response` is, or undefined when it is the last (RFC 8288, `rel="next"`).
 * Throws OtaError `protocol` when it is on another origin, where our token has no business.
 */
export function nextPage(response: RegistryResponse, from: URL): URL | undefined {
  const link = response.headers.link;
  for (const value of Array.isArray(link) ? link : [link ?? '']) {
    const target = /<([^>]*)>\s*;[^,]*\brel="?next"?(?:[\s;,]|$)/i.exec(value)?.[1];
    if (target === undefined) continue;
    if (!URL.canParse(target, from.href)) throw new OtaError('protocol', 'the link to the next page is no URL');
    const next = new URL(target, from.href);
    if (next.origin !== from.origin) throw new OtaError('protocol', `the next page is on another host, ${next.host}`);
    return next;
  }
  return undefined;
}
