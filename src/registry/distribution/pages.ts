import { OtaError } from '../../errors.js';
import type { RegistryResponse } from './transport.js';

/** 100,000 tags in pages of 100, the smallest page size of a known registry. */
const MAX_PAGES = 1000;

/** The pages that were read so far, to detect a loop. */
export class Pages {
  private readonly seen: Set<string>;

  constructor(first: URL) {
    this.seen = new Set([first.href]);
  }

  /** Throws OtaError `protocol` if `url` was read before, or if there are too many pages. */
  add(url: URL): void {
    if (this.seen.has(url.href))
      throw new OtaError('protocol', `the pages of ${url.pathname} lead in a circle. Check the registry`);
    if (this.seen.size >= MAX_PAGES)
      throw new OtaError('protocol', `${url.pathname} has more than ${MAX_PAGES} pages. Check the registry`);
    this.seen.add(url.href);
  }
}

/**
 * Returns the URL of the page after `response`, or undefined if it is the last one (RFC 8288, `rel="next"`). Throws
 * OtaError `protocol` if the header cannot be parsed, because the list may then be incomplete, and if the page is on
 * another host, which must not receive the token.
 */
export function nextPage(response: RegistryResponse, from: URL): URL | undefined {
  const value = response.headers.link;
  const links = parseLinks(Array.isArray(value) ? value.join(', ') : (value ?? ''));
  const target = links.find(({ relations }) => relations.includes('next'))?.target;
  if (target === undefined) return undefined;
  if (!URL.canParse(target, from.href))
    throw new OtaError('protocol', 'the link to the next page is not a URL. Check proxies in front of the registry');
  const next = new URL(target, from.href);
  if (next.host !== from.host)
    throw new OtaError(
      'protocol',
      `the next page is on another host, ${next.host}, which is not asked. Check the address in the configuration of the registry`,
    );
  // A registry behind a proxy that terminates TLS may not know that it is reached over https.
  next.protocol = from.protocol;
  return next;
}

interface Link {
  readonly target: string;
  readonly relations: readonly string[];
}

/** A link: target and parameters. Quoted values may contain any character. */
const LINK = /^\s*<([^<>]*)>((?:\s*;\s*[^\s=;,"<>]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))?)*)\s*(?:,|$)/;
const RELATION = /;\s*rel\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))/i;

function parseLinks(header: string): Link[] {
  const links: Link[] = [];
  for (let rest = header; rest.trim() !== '';) {
    const [whole, target, parameters = ''] = LINK.exec(rest) ?? [];
    const relation = RELATION.exec(withoutOtherTexts(parameters));
    const relations = (relation?.[1] ?? relation?.[2] ?? '').toLowerCase().split(/\s+/).filter(Boolean);
    if (whole === undefined || target === undefined || relations.length === 0)
      throw new OtaError(
        'protocol',
        `the Link header cannot be read: ${JSON.stringify(header.slice(0, 200))}. Check proxies in front of the registry`,
      );
    links.push({ target, relations });
    rest = rest.slice(whole.length);
  }
  return links;
}

/** Removes the quoted values of parameters other than `rel`, because they may look like a `rel`. */
function withoutOtherTexts(parameters: string): string {
  return parameters.replaceAll(/(;\s*([^\s=;]+)\s*=\s*)"(?:[^"\\]|\\.)*"/g, (whole, before: string, name: string) =>
    name.toLowerCase() === 'rel' ? whole : `${before}x`,
  );
}
