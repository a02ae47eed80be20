import { readFileSync } from 'node:fs';

/** Resident memory of a process, in megabytes: all of it, and its part that is pages of mapped files. */
export interface Rss {
  readonly all: number;
  readonly files: number;
}

/** Reads the resident memory of process `pid` from /proc. */
export function rssMegabytes(pid: number): Rss {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  return { all: kilobytes('VmRSS') / 1024, files: kilobytes('RssFile') / 1024 };
}
