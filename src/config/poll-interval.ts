import { isRepositoryName } from '../repository-name.js';
import { pollIntervals as pollIntervalsJson } from './json-schema.js';
import { duration, GLOB, list, Unreadable, type Kind } from './kinds.js';
import { quoted } from './kind.js';

/** How often the units of matching products ask for updates. */
export interface PollInterval {
  /** A glob of product names. `*` matches every product. */
  readonly match: string;
  readonly seconds: number;
  /** Part of the interval by which it varies, so that units that started together do not ask together: 0 to 0.99. */
  readonly jitter: number;
}

/** Clients read `HH:MM:SS`. */
const MAX_SECONDS = 86_399;
const ENTRY = /^(?:([^=~]+)=)?([^=~]+?)(?:~(\d{1,2})%)?$/;
const TAKES =
  'intervals from 1s to 23h59m59s such as 5m, 5m~10% or esp32=1h,gateway-*=10m~20%,*=5m. The first one that matches the device id applies';

/** A list of `[GLOB=]DURATION[~PERCENT%]`. The first entry that matches a product applies. */
export const pollIntervals: Kind<PollInterval[]> = {
  placeholder: 'interval',
  takes: TAKES,
  json: pollIntervalsJson,
  read(written) {
    const entries = list.read(written);
    const parsed = entries.map(parseEntry);
    const wrong = entries.find((_entry, index) => !parsed[index]);
    if (wrong !== undefined || entries.length === 0)
      throw new Unreadable(entries.length > 1 ? `${TAKES}; look at ${quoted(wrong ?? '')}` : TAKES);
    return parsed as PollInterval[];
  },
};

function parseEntry(entry: string): PollInterval | undefined {
  const [, match = '*', time = '', percent = '0'] = ENTRY.exec(entry) ?? [];
  if (match !== '*' && !isRepositoryName(match) && !GLOB.test(match)) return undefined;
  const seconds = secondsIn(time);
  if (seconds === undefined || seconds < 1 || seconds > MAX_SECONDS) return undefined;
  return { match, seconds, jitter: Number(percent) / 100 };
}

function secondsIn(time: string): number | undefined {
  try {
    return Math.round(duration.read(time.trim()) / 1000);
  } catch {
    return undefined;
  }
}
