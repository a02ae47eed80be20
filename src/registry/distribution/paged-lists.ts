import { OtaError } from '../../errors.js';
import { readWhole } from './body.js';
import { failureOf } from './failure.js';
import { nextPage, Pages } from './pages.js';
import { discard, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/**
 * Maximum size of a page of tags or referrers. A registry that ignores `n` may send 100,000 tags of 128 characters in
 * one page.
 */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
/** Statuses with which registries refuse a page size (`PAGINATION_NUMBER_INVALID`) or any parameter. */
const REFUSALS_OF_SIZE: readonly number[] = [400, 405, 406, 413, 414, 416, 422, 501];

/**
 * Lists that a registry sends in pages (distribution-spec 1.1, "Content Discovery"): tags, repositories and referrers.
 */
export class PagedLists {
  /** Lists for which the registry refuses a page size. */
  private readonly sizeless = new Set<'tags' | 'catalog'>();

  constructor(private readonly transport: Transport) {}

  /**
   * Yields the pages of the list that `request` asks for. Read each page before the next one is requested. The first
   * page may have any status. Throws OtaError if a later page is refused, or if a link cannot be followed.
   */
  async *pages(request: RegistryRequest): AsyncGenerator<RegistryResponse> {
    const seen = new Pages(request.url);
    let response = await this.firstPage(request);
    for (let from = request.url; ;) {
      yield response;
      const next = nextPage(response, from);
      if (!next) return;
      seen.add(next);
      response = await this.transport.send({ ...request, url: next });
      if (response.status !== 200) throw await brokenList(response);
      from = next;
    }
  }

  /** Returns the JSON of a page. Throws OtaError `protocol` if it is not JSON. */
  async json(response: RegistryResponse, what: string): Promise<unknown> {
    const body = await this.jsonIfAny(response, what);
    if (body === undefined)
      throw new OtaError(
        'protocol',
        `${what}: ${response.url.host} answered something that is not JSON${typeOf(response)}. It may not be a container registry, or a login page is in front of it: check --registry-url`,
      );
    return body;
  }

  /** Returns the JSON of a page, or undefined if it is not JSON. */
  async jsonIfAny(response: RegistryResponse, what: string): Promise<unknown> {
    const tooLong = (): OtaError =>
      new OtaError(
        'protocol',
        `a page of ${what} has more than ${MAX_PAGE_BYTES} bytes. Check that --registry-url is a container registry`,
      );
    return parseJson(await readWhole(response, MAX_PAGE_BYTES, tooLong));
  }

  /** Requests the first page. If the registry refuses the page size, requests it again without. */
  private async firstPage(request: RegistryRequest): Promise<RegistryResponse> {
    if (!request.url.searchParams.has('n')) return this.transport.send(request);
    const list = request.repository === undefined ? 'catalog' : 'tags';
    if (!this.sizeless.has(list)) {
      const sized = await this.transport.send(request);
      if (!REFUSALS_OF_SIZE.includes(sized.status)) return sized;
      discard(sized);
    }
    const url = new URL(request.url);
    url.searchParams.delete('n');
    const response = await this.transport.send({ ...request, url });
    if (response.status === 200) this.sizeless.add(list);
    return response;
  }
}

/** Returns the error for a page after the first that is refused: the list is incomplete, and does not mean `absent`. */
async function brokenList(response: RegistryResponse): Promise<OtaError> {
  const failure = await failureOf(response, `next page of ${response.url.pathname}`);
  return failure.code === 'absent' ? new OtaError('protocol', failure.message) : failure;
}

/** Returns the media type. It identifies the login page of a proxy. */
function typeOf(response: RegistryResponse): string {
  const type = header(response, 'content-type');
  return type === undefined ? '' : `, but ${type.slice(0, 100)}`;
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
