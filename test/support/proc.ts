import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

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

/** Linux counts in hundredths of a second on every machine that Node runs on. */
const MS_PER_TICK = 10;

/** Reads the CPU time that process `pid` has used from /proc, in milliseconds. Other programs do not count. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of the program may contain spaces. Field 14 is user, field 15 system time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** Returns the number of sockets that process `pid` has open. */
export function socketsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
    } catch {
      // Closed meanwhile.
      return false;
    }
  }).length;
}
