export { isRepositoryName, MAX_REPOSITORY_LENGTH } from '../repository-name.js';

/** The syntax of tags (distribution-spec 1.1, "Pulling manifests"). */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** Returns whether `tag` is a valid tag. */
export function isTag(tag: string): boolean {
  return TAG.test(tag);
}
