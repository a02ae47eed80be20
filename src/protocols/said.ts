import { invalidUnit, parameter } from '../delivery/index.js';
import type { Ask } from './ask.js';

/** 1 to 128 printable characters of Unicode: no control characters, no separators of lines. */
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u;

/**
 * Returns what a query says of a unit: `unit`, `running`, `hardware` and `channel`. Throws a DeviceRefusal for a unit
 * that is no printable text. Such a value of another parameter is ignored, because the request can be answered without.
 */
export function saidIn(query: string): Omit<Ask, 'product'> {
  const unit = parameter(query, 'unit');
  if (unit !== undefined && !PRINTABLE.test(unit)) throw invalidUnit();
  return {
    unit,
    running: printable(parameter(query, 'running')),
    hardware: printable(parameter(query, 'hardware')),
    channel: printable(parameter(query, 'channel')),
  };
}

/** Returns `value` if it is 1 to 128 printable characters, otherwise undefined. */
export function printable(value: string | undefined): string | undefined {
  return value !== undefined && PRINTABLE.test(value) ? value : undefined;
}
