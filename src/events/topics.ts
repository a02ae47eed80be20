import { percentDecoded } from '../percent.js';

/** The patterns of the own handlers. Every broker has other topics for them. */
export const WEBHOOK = 'otaflux:webhook';
export const REPORT = 'otaflux:report';
export const STATUS = 'otaflux:status';

/** What a message is, according to its topic. */
export type Route =
  | { readonly pattern: typeof WEBHOOK; readonly source: string }
  | { readonly pattern: typeof REPORT | typeof STATUS; readonly product: string; readonly unit: string };

/**
 * Most levels of a device id that subscriptions find where a wildcard stands for one level (MQTT, NATS). Registries nest
 * repositories less deeply.
 */
export const MAX_LEVELS = 8;

const LEAVES = { report: REPORT, status: STATUS } as const;

/**
 * Returns the route of a message from the levels of its topic below TOPIC: `webhooks/SOURCE`, or
 * `PRODUCT/units/UNIT/report` and `…/status`, read from the end, because a product may have several levels. Levels are
 * percent-encoded where they contain characters that separate levels. Returns undefined for other topics.
 */
export function routeOf(levels: readonly string[]): Route | undefined {
  const [first, second] = levels;
  if (levels.length === 2 && first === 'webhooks' && second) return { pattern: WEBHOOK, source: second };
  const [units, unit, leaf] = levels.slice(-3);
  if (levels.length < 4 || units !== 'units' || (leaf !== 'report' && leaf !== 'status')) return undefined;
  const product = levels.slice(0, -3).map(percentDecoded).join('/');
  return { pattern: LEAVES[leaf], product, unit: percentDecoded(unit ?? '') };
}

/** How a kind of broker spells topics and wildcards. */
export interface TopicStyle {
  readonly separator: string;
  /** Stands for one level. */
  readonly one: string;
  /** Stands for the rest of the levels. */
  readonly rest: string;
  /** The rest stands for no level, too (MQTT, AMQP), otherwise for at least one (NATS). */
  readonly restMayBeEmpty: boolean;
  /** A wildcard for any number of levels may be followed by others (AMQP), or `one` spans levels (Redis). */
  readonly anyLevels?: string;
}

export const SLASHES: TopicStyle = { separator: '/', one: '+', rest: '#', restMayBeEmpty: true };
export const SUBJECTS: TopicStyle = { separator: '.', one: '*', rest: '>', restMayBeEmpty: false };
export const ROUTING_KEYS: TopicStyle = { separator: '.', one: '*', rest: '#', restMayBeEmpty: true, anyLevels: '#' };
export const CHANNELS: TopicStyle = { separator: '/', one: '*', rest: '*', restMayBeEmpty: false, anyLevels: '*' };

/** Returns the subscriptions for the own handlers below `prefix`, which is empty or ends with the separator. */
export function ownFilters({ separator, one, anyLevels }: TopicStyle, prefix: string): string[] {
  const products = anyLevels
    ? [anyLevels]
    : Array.from({ length: MAX_LEVELS }, (_, depth) => Array.from({ length: depth + 1 }, () => one).join(separator));
  const leaves = Object.keys(LEAVES).flatMap((leaf) =>
    products.map((product) => [product, 'units', one, leaf].join(separator)),
  );
  return [['webhooks', one].join(separator), ...leaves].map((filter) => prefix + filter);
}

/** Returns whether `topic` matches `filter`. */
export function matches(style: TopicStyle, filter: string, topic: string): boolean {
  if (style === CHANNELS) return globOf(filter).test(topic);
  // A filter for several consumers of one session: $share/GROUP/FILTER (MQTT 5.0, section 4.8.2).
  const own = filter.startsWith('$share/') ? filter.split('/').slice(2).join('/') : filter;
  return matchLevels(style, own.split(style.separator), topic.split(style.separator));
}

function matchLevels(style: TopicStyle, filter: readonly string[], topic: readonly string[]): boolean {
  const [first, ...others] = filter;
  if (first === undefined) return topic.length === 0;
  if (first === style.rest) {
    if (others.length === 0) return style.restMayBeEmpty || topic.length > 0;
    return topic.some((_, from) => matchLevels(style, others, topic.slice(from)));
  }
  const [level, ...below] = topic;
  if (level === undefined) return false;
  return (first === style.one || first === level) && matchLevels(style, others, below);
}

/** Redis, PSUBSCRIBE: *, ? and [abc]. */
function globOf(filter: string): RegExp {
  const pattern = filter.replaceAll(/\\?[^]/g, (character) => {
    if (character === '*') return '[^]*';
    if (character === '?') return '[^]';
    if (character === '[' || character === ']') return character;
    return character.slice(-1).replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  });
  try {
    return new RegExp(`^${pattern}$`);
  } catch {
    return /^(?!)/;
  }
}
