import { OtaError } from '../errors.js';
import { isDigest } from './digest.js';
import { isRepositoryName, isTag } from './names.js';

/** The name of a manifest in a registry: `repository:tag` or `repository@digest`. */
export interface Reference {
  readonly repository: string;
  readonly reference: string;
}

/** Splits `repository:tag` or `repository@digest` into its two parts. Throws OtaError `protocol` if it is neither. */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@');
  const split = at === -1 ? text.lastIndexOf(':') : at;
  const repository = text.slice(0, split === -1 ? text.length : split);
  const reference = split === -1 ? '' : text.slice(split + 1);
  const valid = at === -1 ? isTag(reference) : isDigest(reference);
  if (!valid || !isRepositoryName(repository)) {
    throw new OtaError(
      'protocol',
      `not a reference: got ${JSON.stringify(text.slice(0, 150))}, expected NAME:TAG or NAME@DIGEST`,
    );
  }
  return { repository, reference };
}

/** Returns `repository:tag` or `repository@digest`. */
export function formatReference({ repository, reference }: Reference): string {
  return `${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
}
