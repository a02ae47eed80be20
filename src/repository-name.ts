/** The components of a repository name (distribution-spec 1.1, "Pulling manifests"). */
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/**
 * Maximum length of host, prefix and name together. Registries refuse longer ones (distribution-spec 1.1: "many clients
 * impose a limit of 255 characters on the length of the name including the host").
 */
export const MAX_REPOSITORY_LENGTH = 255;

/** Returns whether `name` is a repository name. Such a name contains no `..`, no empty part and no upper case. */
export function isRepositoryName(name: string): boolean {
  return name.length <= MAX_REPOSITORY_LENGTH && REPOSITORY.test(name);
}

const MAC_ADDRESS = /^[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}$/i;

/** Returns why `id` is not a device id, in one sentence without a full stop on which a person can act. */
export function whyNoDeviceId(id: string): string {
  if (id.length > MAX_REPOSITORY_LENGTH) return `device ids have ${MAX_REPOSITORY_LENGTH} characters at most`;
  if (MAC_ADDRESS.test(id)) return 'this is a MAC address. A device id names a kind of device, such as esp32';
  const lower = id.toLowerCase();
  if (lower !== id)
    return isRepositoryName(lower) ? `device ids are lower case: ${lower}` : 'device ids are lower case';
  return 'a device id consists of a-z, 0-9 and single . _ - / between them';
}
