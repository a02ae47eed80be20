import type { Release } from '../../firmware/index.js';

/** The artifact of a release, as a unit can download it. */
export interface Artifact {
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly sha1: string;
  readonly md5: string;
  readonly sha256: string;
  /** Absolute, with a signature if access is restricted. */
  readonly href: string;
}

/** Links of the answer to a poll. Each is there only as long as the unit has to answer it: Zephyr asks again at once. */
export interface PollLinks {
  readonly deploymentBase?: string | undefined;
  readonly cancelAction?: string | undefined;
  readonly installedBase?: string | undefined;
  readonly configData?: string | undefined;
}

/** Returns the answer to a poll. */
export function pollAnswer(sleepSeconds: number, links: PollLinks): object {
  const given = Object.entries(links).filter((link): link is [string, string] => typeof link[1] === 'string');
  return {
    config: { polling: { sleep: clockTime(sleepSeconds) } },
    ...(given.length > 0 && { _links: Object.fromEntries(given.map(([name, href]) => [name, { href }])) }),
  };
}

/**
 * Returns the answer to deploymentBase, in the one form that all clients take: `id` is text and `size` a number; one chunk,
 * whose part is `bApp` for Zephyr; all three hashes; both links. It never says `skip`: SWUpdate would report success.
 */
export function deploymentAnswer(id: number, { version, device }: Release, artifacts: readonly Artifact[]): object {
  return {
    id: String(id),
    deployment: {
      download: 'forced',
      update: 'forced',
      chunks: [{ part: 'bApp', version, name: device, artifacts: artifacts.map(artifactAnswer) }],
    },
  };
}

/** Returns one entry of the list of artifacts. */
export function artifactAnswer({ fileName, sizeBytes, sha1, md5, sha256, href }: Artifact): object {
  return {
    filename: fileName,
    size: sizeBytes,
    hashes: { sha1, md5, sha256 },
    _links: { download: { href }, 'download-http': { href } },
  };
}

/** Returns the answer to cancelAction. The ids are equal: SWUpdate answers at the link, rauc at the `stopId`. */
export function cancelAnswer(id: number): object {
  return { id: String(id), cancelAction: { stopId: String(id) } };
}

/** `HH:MM:SS`: Zephyr takes no other form. */
function clockTime(seconds: number): string {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}
