import { badBody, jsonIn } from '../../delivery/index.js';
import { OUTCOMES, type Outcome, type Report } from '../../fleet/index.js';
import { printable } from '../../identity.js';

/**
 * Returns the report in the JSON of `POST /report`: `{"version":"1.2.3","outcome":"installed","message":"…"}`, or
 * `{"running":"1.2.3"}`. Throws the DeviceRefusal 400 for anything else. Unknown fields are ignored.
 */
export function reportIn(body: Buffer): Report {
  const { version, outcome, running, message, hardware, attributes } = jsonIn(body);
  if (outcome !== undefined && outcome !== null && !isOutcome(outcome))
    throw badBody(`outcome: expected ${OUTCOMES.join(', ')}`);
  if (outcome === undefined && running === undefined && version === undefined && attributes === undefined)
    throw badBody('expected {"version":"1.2.3","outcome":"installed"}, or {"running":"1.2.3"}');
  const isObject = typeof attributes === 'object' && attributes !== null && !Array.isArray(attributes);
  return {
    outcome: outcome ?? undefined,
    version: textOf('version', version),
    running: textOf('running', running),
    hardware: textOf('hardware', hardware),
    message: typeof message === 'string' ? message : undefined,
    attributes: isObject ? (attributes as Record<string, unknown>) : undefined,
  };
}

function isOutcome(value: unknown): value is Outcome {
  return (OUTCOMES as readonly unknown[]).includes(value);
}

function textOf(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  const text = printable(value);
  if (text === undefined) throw badBody(`${name}: expected 1 to 128 printable characters`);
  return text;
}
