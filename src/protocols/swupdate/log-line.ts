import { badBody } from '../../delivery/index.js';

/** What SWUpdate reports. `check` is in its documentation, but it never sends it. */
export type LogEvent = 'started' | 'success' | 'fail' | 'check';

/** A line of `logurl`. */
export interface LogLine {
  readonly event: LogEvent;
  /** The field after the event. */
  readonly unit: string | undefined;
  readonly text: string;
}

/** The numbers are those of the example in SWUpdate's documentation, which many configurations have copied. */
const EVENTS: Readonly<Record<string, LogEvent>> = {
  started: 'started',
  success: 'success',
  fail: 'fail',
  check: 'check',
  '#2': 'check',
  '#12': 'started',
  '#13': 'success',
  '#14': 'fail',
};
/** The field `date`: `2026-11-25T18:11:23Z`. */
const DATE = /^\d{4}-\d{2}-\d{2}T/;

/**
 * Returns the event in a line of CSV whose fields are in the order of the `format` of the configuration. The first field
 * is the event. If it is a word, the next field that is no date is the unit. Throws the DeviceRefusal 400 for another line.
 */
export function logLineIn(body: Buffer): LogLine {
  const text = body.toString('utf8').trim();
  const [first = '', ...fields] = text.split(',').map((field) => field.trim());
  const event = Object.hasOwn(EVENTS, first) ? EVENTS[first] : undefined;
  if (event === undefined)
    throw badBody('expected a line that begins with started, success or fail, such as fail,SN-1');
  const unit = first.startsWith('#') ? undefined : fields.find((field) => !DATE.test(field));
  return { event, unit: unit === '' ? undefined : unit, text };
}
