import { isAbsolute } from 'node:path';
import { isRepositoryName } from '../repository-name.js';

/**
 * Returns what to write in place of a registry URL with a usual mistake, as a completion of "expected …". Returns
 * undefined for others.
 */
export function registryUrlInstead(value: string): string | undefined {
  if (/[\s\\]/.test(value)) return undefined;
  const instead = folderInstead(value) ?? schemeInstead(value) ?? pathInstead(value);
  // A password is not repeated.
  return value.includes('@') ? instead?.replace(/, such as .*$/, '') : instead;
}

/** A folder needs `oci:`, which is no `oci://`. */
function folderInstead(value: string): string | undefined {
  const [, path] = /^oci:\/\/(?!\/)(.*)$/.exec(value) ?? [];
  if (path !== undefined) return `oci: without slashes for a folder, such as oci:${path || './registry'}`;
  const file = /^file:(?:\/\/)?(.+)$/i.exec(value)?.[1];
  const folder = file ?? (isAbsolute(value) || /^\.{1,2}(?:\/|$)/.test(value) ? value : undefined);
  return folder === undefined ? undefined : `oci: before the path of a folder, such as oci:${folder}`;
}

function schemeInstead(value: string): string | undefined {
  const [, scheme = '', rest] = /^(https?):\/?([^/\d].*)$/i.exec(value) ?? [];
  return rest === undefined ? undefined : `two slashes after ${scheme}:, such as ${scheme}://${rest}`;
}

/** The path is the first part of the names of all repositories. */
function pathInstead(value: string): string | undefined {
  if (value.startsWith('oci:')) return undefined;
  const [, origin = '', written = ''] = /^((?:https?:\/\/)?[^/?#@]+)\/+([^?#]*?)\/*$/i.exec(value) ?? [];
  if (written === '' || (origin.includes(':') && !/^(?:https?:\/\/)?[^:]+(?::\d+)?$|\]/i.test(origin)))
    return undefined;
  const [, api, rest = ''] = /^(v[12])(?:\/+(.*))?$/.exec(written) ?? [];
  if (api !== undefined)
    return `a URL without /${api}, which OtaFlux adds itself, such as ${origin}${rest && `/${rest}`}`;
  if (isRepositoryName(written)) return undefined;
  const [, untagged] = /^([^:]+):[^/]*$/.exec(written) ?? [];
  if (untagged !== undefined) return `a URL without a tag, such as ${origin}/${untagged}`;
  const lower = written.toLowerCase();
  if (lower !== written) return `a path in lower case, such as ${origin}/${lower}`;
  return 'a path that consists of a-z, 0-9 and single . _ - / between them, because repository names begin with it';
}
