import { OtaError } from '../../errors.js';
import { readWhole } from './body.js';
import { failureOf } from './failure.js';
import { nextPage, Pages } from './pages.js';
import { discard, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/** A page of tags or referrers. A registry that ignores `n` may send 100,000 tags of 128 characters in one. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
/** Statuses by which registries refuse a page size (`PAGINATION_NUMBER_INVALID`) or a parameter as such. */
const REFUSALS_OF_SIZE: readonly number[] = [400, 405, 406, 413, 414, 416, 422, 501];

/** Lists that a registry sends in pages (distribution-spec 1.1, "Content Discovery"): tags, repositories and referrers. */
export class PagedLists {
  /** Lists that cannot be requested with a page size. */
  private readonly sizeless = new Set<'tags' | 'catalog'>();

  constructor(private readonly transport: Transport) {}

  /**
   * Yields the pages of the list that `request` asks for, each to be read before the next is requested. The first may have
   * any status. Throws OtaError for a later one that is refused, or a link to it that cannot be followed.
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

  /** Returns the JSON of a page; throws OtaError `protocol` for anything else. */
  async json(response: RegistryResponse, what: string): Promise<unknown> {
    const body = await this.jsonIfAny(response, what);
    if (body === undefined)
      throw new OtaError(
        'protocol',
        `${what}: ${response.url.host} answered something that is not JSON${typeOf(response)}. It may not be a container registry, or a login page is in front of it: check --registry-url`,
      );
    return body;
  }

  /** Returns the JSON of a page, or undefined for anything else. */
  async jsonIfAny(response: RegistryResponse, what: string): Promise<unknown> {
    const tooLong = (): OtaError =>
      new OtaError(
        'protocol',
        `a page of ${what} has more than ${MAX_PAGE_BYTES} bytes. Check that --registry-url is a container registry`,
      );
    return parseJson(await readWhole(response, MAX_PAGE_BYTES, tooLong));
  }

  /** The first page; without the page size if the registry does not take one. */
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

/** A list whose next page is refused has not ended there, and what it is a list of is not gone. */
async function brokenList(response: RegistryResponse): Promise<OtaError> {
  const failure = await failureOf(response, `next page of ${response.url.pathname}`);
  return failure.code === 'absent' ? new OtaError('protocol', failure.message) : failure;
}

/** A login page of a proxy says what it is in its media type. */
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
