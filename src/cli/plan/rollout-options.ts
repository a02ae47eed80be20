import { ConfigError } from '../../errors.js';

/** The options of `rollout start`, as they are given. */
export interface StartOptions {
  readonly stages?: string;
  readonly halt?: string | false;
  readonly channel?: readonly string[];
  readonly from?: string;
  readonly starts?: string;
  readonly until?: string;
  readonly rate?: string;
  readonly window?: string;
  readonly zone?: string;
  readonly downgrade?: boolean;
}

export const DEFAULT_STAGES = '1%/1d/98%,10%/1d/98%,50%/2d/98%';
/** The default stages without their shares, for `--until`. */
const TIMED_STAGES = '1%/1d,10%/1d,50%/2d';
/** A single failure among a few units must not stop a rollout. */
const LEAST = 20;
export const DEFAULT_HALT = `5%/${LEAST}`;

interface Threshold {
  readonly least: number;
  readonly [share: string]: string | number;
}

/** A stage, as it is written in the plan. */
export interface StageEntry {
  readonly percent: number;
  readonly for: string;
  readonly until?: Threshold;
}

/**
 * Returns the stages in `1%/1d,10%/1d/98%`: percent, minimum duration, and optionally the share that must succeed. A stage
 * without a share gets that of `until`; the number of installs in `until` counts for all.
 */
export function stagesIn(text: string, until: string | undefined): StageEntry[] {
  const least = until?.split('/')[1];
  return text.split(',').map((part) => {
    const [, percent, duration, share] = /^\s*(\d+(?:\.\d+)?)\s*%?\s*\/\s*([^/]+?)\s*(?:\/\s*(.+))?$/.exec(part) ?? [];
    if (percent === undefined || duration === undefined)
      throw new ConfigError(
        `--stages: got ${JSON.stringify(part)}, expected PERCENT/DURATION, such as ${DEFAULT_STAGES}`,
      );
    const own = share !== undefined && least !== undefined && !share.includes('/') ? `${share}/${least}` : share;
    const condition = own ?? until;
    return {
      percent: Number(percent),
      for: duration,
      ...(condition !== undefined && {
        until: thresholdIn(share === undefined ? '--until' : '--stages', 'succeeded', condition),
      }),
    };
  });
}

/** Returns the threshold in `5%` or `5%/20`: a share, and the least number of installs of which it is taken. */
export function thresholdIn(option: string, key: 'failed' | 'succeeded', text: string): Threshold {
  const [, share, least] = /^(\d+(?:\.\d+)?)%?(?:\/(\d+))?$/.exec(text.replaceAll(/\s/g, '')) ?? [];
  if (share === undefined)
    throw new ConfigError(
      `${option}: got ${JSON.stringify(text)}, expected a share and the least number of installs, such as 5% or 5%/20`,
    );
  return { [key]: `${share}%`, least: least === undefined ? LEAST : Number(least) };
}

/** Returns the window in `01:00-05:00`. */
export function windowIn(text: string, zone = 'UTC'): { from: string; to: string; zone: string } {
  const [, from, to] = /^(\d{1,2}:\d\d)\s*-\s*(\d{1,2}:\d\d)$/.exec(text.trim()) ?? [];
  if (from === undefined || to === undefined)
    throw new ConfigError(`--window: got ${JSON.stringify(text)}, expected FROM-TO, such as 01:00-05:00`);
  return { from: from.padStart(5, '0'), to: to.padStart(5, '0'), zone };
}

/** Returns the entry of the plan, without version and channels. Everything else is checked with the whole plan. */
export function rolloutEntry(options: StartOptions, now: Date): Record<string, unknown> {
  const stages = stagesIn(
    options.stages ?? (options.until === undefined ? DEFAULT_STAGES : TIMED_STAGES),
    options.until,
  );
  return {
    ...(options.from !== undefined && { from: options.from }),
    starts: timeText(options.starts, now),
    stages,
    ...(options.halt !== false && { halt: thresholdIn('--halt', 'failed', options.halt ?? DEFAULT_HALT) }),
    ...(options.rate !== undefined && { rate: options.rate }),
    ...(options.window !== undefined && { window: windowIn(options.window, options.zone) }),
    ...(options.downgrade && { downgrade: true }),
  };
}

/** A time as it is written in plans: without milliseconds, in UTC. */
export function timeText(given: string | undefined, now: Date): string {
  const time = given === undefined ? now : new Date(given);
  if (Number.isNaN(time.getTime()))
    throw new ConfigError(`--starts: got ${JSON.stringify(given)}, expected a time such as 2026-11-25T08:00:00Z`);
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
