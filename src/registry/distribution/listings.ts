import { z } from 'zod';
import { OtaError } from '../../errors.js';
import { isIndexType, understood, type Descriptor } from '../../oci/index.js';
import { turn } from '../../timers.js';

/** distribution-spec 1.1, "Content Discovery". Some registries send `null` for an empty list. */
const tagList = z.object({ tags: z.array(z.unknown()).nullish() });
/**
 * A registry that ignores `n` sends 100,000 entries at once. Parsing pauses in between, so that other requests are
 * answered.
 */
const TAGS_A_TURN = 10_000;

/**
 * Yields the tags on one page, in pieces that take some milliseconds. Throws OtaError `protocol` if the page has
 * another shape.
 */
export async function* parseTags(body: unknown): AsyncGenerator<readonly string[]> {
  const parsed = tagList.safeParse(body);
  const tags = parsed.data?.tags ?? [];
  for (let at = 0; at < tags.length; at += TAGS_A_TURN) {
    const some = tags.slice(at, at + TAGS_A_TURN);
    if (!some.every((tag) => typeof tag === 'string')) throw noTagList();
    yield some;
    if (tags.length > TAGS_A_TURN) await turn();
  }
  if (!parsed.success) throw noTagList();
}

function noTagList(): OtaError {
  return new OtaError(
    'protocol',
    'the tags list contains no list of tags. Check that --registry-url is a container registry',
  );
}

/** Distribution's catalog, which is not part of the specification. */
const catalog = z.object({ repositories: z.array(z.string()).nullish() });

/** Returns the repositories on one page. Throws OtaError `protocol` if the page has another shape. */
export function parseCatalog(body: unknown): string[] {
  const parsed = catalog.safeParse(body);
  if (!parsed.success)
    throw new OtaError(
      'protocol',
      'the catalog contains no list of repositories. Check that --registry-url is a container registry',
    );
  return parsed.data.repositories ?? [];
}

const referrers = z.object({
  schemaVersion: z.literal(2),
  mediaType: z
    .string()
    .nullish()
    .refine((type) => !type || isIndexType(type)),
  manifests: z.array(z.unknown()).nullable(),
});

/**
 * Returns the entries on one page of referrers that can be parsed, or undefined if the page is not an image index.
 *
 * @param body undefined if it is not JSON
 */
export function parseReferrers(body: unknown): Descriptor[] | undefined {
  const parsed = referrers.safeParse(body);
  return parsed.success ? understood(parsed.data.manifests ?? []) : undefined;
}
