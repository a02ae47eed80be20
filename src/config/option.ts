import type { Kind } from './kinds.js';

/** An option. Its flag, its key in the file and its setting name follow from its variable. */
export interface Option<T = unknown> {
  readonly kind: Kind<T>;
  /** Sentences for `--help` and the documentation: what it is, its unit, exceptions. The default is added to them. */
  readonly help: string;
  /** As a user would write it. Without one the setting may be undefined. */
  readonly default?: string;
  readonly required?: true;
  /** Never printed, and may come from a file: `X_FILE` beside `X`. */
  readonly secret?: true;
  /** The heading in `--help` and the documentation, of this option and those that follow. */
  readonly section?: string;
}

/** An option of the table: `T` is the type of its value, `D` is `undefined` when it has no default. */
export interface TypedOption<T, D extends string | undefined> extends Option<T> {
  readonly defaulted: D;
}

type Rest = Omit<Option, 'kind' | 'default'>;

/** An option of the table. */
export function option<T>(
  kind: Kind<T>,
  rest: Rest & ({ default: string } | { required: true }),
): TypedOption<T, string>;
export function option<T>(kind: Kind<T>, rest: Rest): TypedOption<T, undefined>;
export function option<T>(kind: Kind<T>, rest: Rest & { default?: string }): TypedOption<T, string | undefined> {
  return { kind, ...rest, defaulted: rest.default };
}

/** Checksums for line 2 of `/version`: CRC-32 of zlib, of an STM32 (crc32mpeg2), and of other hardware. */
export const CHECKSUMS = [
  'crc32',
  'crc32c',
  'crc32mpeg2',
  'crcjam',
  'crc24',
  'crc16',
  'crc16ccitt',
  'crc16kermit',
  'crc16modbus',
  'crc16xmodem',
  'crc8',
  'crc81wire',
  'crc8dvbs2',
] as const;
export type Checksum = (typeof CHECKSUMS)[number];

/** URL schemes of REDIS_URL: a server, several sentinels, or nodes of a cluster, each without and with TLS. */
export const REDIS_SCHEMES = [
  ...['redis', 'rediss', 'redis+sentinel', 'rediss+sentinel', 'redis+cluster', 'rediss+cluster'],
] as const;

/** URL schemes of EVENTS. */
export const EVENT_SCHEMES = [
  ...['mqtt', 'mqtts', 'ws', 'wss', 'redis', 'rediss', 'nats', 'tls'],
  ...['amqp', 'amqps', 'kafka', 'kafkas'],
] as const;

/** URL schemes of NOTIFY. */
export const NOTIFY_SCHEMES = [...EVENT_SCHEMES, 'http', 'https'] as const;
