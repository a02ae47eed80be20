/** Repository name components (distribution-spec 1.1, "Pulling manifests"). */
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
/** Tags (distribution-spec 1.1, "Pulling manifests"). */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/**
 * Host, prefix and name together; registries refuse longer ones
 * (distribution-spec 1.1: "many clients impose a limit of 255 characters on the length of the name including the host").
 */
export const MAX_REPOSITORY_LENGTH = 255;

/** Whether `name` is a repository name. Such a name holds no `..`, no empty part and no upper case. */
export function isRepositoryName(name: string): boolean {
  return name.length <= MAX_REPOSITORY_LENGTH && REPOSITORY.test(name);
}

export function isTag(tag: string): boolean {
  return TAG.test(tag);
}
