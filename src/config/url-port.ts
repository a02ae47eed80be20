/** The host and port of a URL, or of a host that stands alone. */
const AUTHORITY = /^(?:[A-Za-z][A-Za-z0-9+.-]*:\/\/)?(?:[^/?#]*@)?([^/?#]*)/;
const PORT = /^(?:\[[^\]]*\]|[^:[\]]*):(\d+)$/;
const MAX_PORT = 65_535;

export const URL_WITH_PORT = `a URL with a port from 1 to ${MAX_PORT}`;

/** Returns whether one of the hosts in `value`, which commas separate, has a port that does not exist. */
export function hasWrongPort(value: string): boolean {
  const [, hosts = ''] = AUTHORITY.exec(value) ?? [];
  return hosts.split(',').some((host) => Number(PORT.exec(host)?.[1]) > MAX_PORT);
}
