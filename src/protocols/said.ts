import { invalidUnit, parameter } from '../delivery/index.js';
import { isUnitName, printable } from '../identity.js';
import type { Ask } from './ask.js';

/**
 * Returns what a query says of a unit: `unit`, `running`, `hardware` and `channel`. Throws a DeviceRefusal for a unit
 * that is no printable text. Such a value of another parameter is ignored, because the request can be answered without.
 */
export function saidIn(query: string): Omit<Ask, 'product'> {
  const unit = parameter(query, 'unit');
  if (unit !== undefined && !isUnitName(unit)) throw invalidUnit();
  return {
    unit,
    running: printable(parameter(query, 'running')),
    hardware: printable(parameter(query, 'hardware')),
    channel: printable(parameter(query, 'channel')),
  };
}
