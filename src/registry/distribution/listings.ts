import { z } from 'zod';
import { OtaError } from '../../errors.js';
import { isIndexType, understood, type Descriptor } from '../../oci/index.js';
import { turn } from '../../timers.js';

/** distribution-spec 1.1, "Content Discovery". Some registries say `null` for none. */
const tagList = z.object({ tags: z.array(z.unknown()).nullish() });
/** A registry that ignores `n` sends 100,000 at once: others have their turn in between. */
const TAGS_A_TURN = 10_000;

/** The tags on one page, as many at once as take some milliseconds; throws OtaError `protocol` for another shape. */
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

/** Distribution's catalog, which is no part of the specification. */
const catalog = z.object({ repositories: z.array(z.string()).nullish() });

/** The repositories on one page; throws OtaError `protocol` for another shape. */
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
 * The entries on one page of referrers, those that can be understood; undefined when it is no image index.
 *
 * @param body undefined for what is not JSON
 */
export function parseReferrers(body: unknown): Descriptor[] | undefined {
  const parsed = referrers.safeParse(body);
  return parsed.success ? understood(parsed.data.manifests ?? []) : undefined;
}
