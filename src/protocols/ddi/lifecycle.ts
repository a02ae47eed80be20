import { boundedAttributes, boundedMessage, type Outcome, type UnitState } from '../../fleet/index.js';
import { isSameVersion } from '../../semver.js';
import {
  begunVersion,
  cancelled,
  cancelRefused,
  configured,
  ended,
  openAction,
  running,
  settled,
  started,
  type Action,
} from './action.js';
import { saidBy, type ConfigData, type Feedback } from './bodies.js';

/** The state after a report, and whether the report came too late for its action. */
export interface Step {
  readonly state: UnitState;
  readonly isOver?: boolean;
}

/** Returns the state after feedback for the open action of a unit. */
export function afterFeedback(state: UnitState, action: Action, feedback: Feedback, nowMs: number): Step {
  const { execution, finished, message, error } = feedback;
  if (execution === 'closed') {
    if (finished === 'failure') return { state: closed(state, action, 'failed', withError(action, message), nowMs) };
    const begun = begunVersion(state);
    // SWUpdate reports after the reboot, for whatever it is offered then. A unit that has not begun this action reports
    // the one that was cancelled after it was installed. This one stays offered.
    if (begun !== undefined && !action.isStarted)
      return { state: withOutcome(settled(state), 'installed', { version: begun, digest: undefined }, message, nowMs) };
    return { state: closed(state, action, 'installed', message, nowMs) };
  }
  if (execution === 'rejected') return { state };
  if (execution === 'canceled') return { state: action.cancelMs === undefined ? state : cancelled(state, action) };
  return afterBegin(state, action, nowMs, error);
}

/** Returns the state after a unit has begun its action, or goes on with it, and has reported an error, if there is one. */
export function afterBegin(state: UnitState, action: Action, nowMs: number, error?: string): Step {
  // A unit that runs the version and begins again would never report: it would install it for ever.
  if (action.runsSinceMs !== undefined)
    return { state: closed(state, action, 'installed', undefined, nowMs), isOver: true };
  return { state: action.isStarted && error === undefined ? state : started(state, error) };
}

function withError({ error }: Action, message: string | undefined): string | undefined {
  if (error === undefined || message?.includes(error)) return message;
  return message === undefined ? error : `${error} | ${message}`;
}

/** Returns the state after feedback for the cancellation of the open action of a unit. */
export function afterCancelFeedback(state: UnitState, action: Action, { execution }: Feedback): UnitState {
  if (execution === 'closed') return cancelled(state, action);
  return execution === 'rejected' ? cancelRefused(state) : state;
}

/** Returns the state after the unit has refused its action. */
export function afterDenial(state: UnitState, action: Action, message: string | undefined, nowMs: number): UnitState {
  return closed(state, action, 'rejected', message, nowMs);
}

/** Returns the state after the unit has sent attributes. */
export function afterConfigData(state: UnitState, { mode, data }: ConfigData, nowMs: number): UnitState {
  const known = mode === 'replace' ? {} : state.attributes;
  const names = new Set(Object.keys(data));
  const attributes =
    mode === 'remove'
      ? Object.fromEntries(Object.entries(known ?? {}).filter(([name]) => !names.has(name)))
      : boundedAttributes({ ...known, ...data });
  const said = mode === 'remove' ? {} : saidBy(data);
  const { hardware = state.hardware } = said as { hardware?: string | undefined };
  const after = configured({ ...state, attributes, hardware });
  return afterRunning(after, (said as { running?: string | undefined }).running, nowMs);
}

/**
 * Returns the state after the unit has said what it runs. If that is what its action installs, the release is installed.
 * The action stays open, because the unit may still report that it failed its own tests.
 */
export function afterRunning(state: UnitState, version: string | undefined, nowMs: number): UnitState {
  if (version === undefined) return state;
  const action = openAction(state);
  const after = { ...state, running: version };
  if (!action?.isStarted || !isSameVersion(version, action.version)) return after;
  return withOutcome(running(after, nowMs), 'installed', action, undefined, nowMs);
}

function closed(
  state: UnitState,
  action: Action,
  outcome: Outcome,
  message: string | undefined,
  nowMs: number,
): UnitState {
  return withOutcome(ended(state, action.id), outcome, action, message, nowMs);
}

function withOutcome(
  state: UnitState,
  outcome: Outcome,
  { version, digest }: { readonly version: string; readonly digest: string | undefined },
  message: string | undefined,
  nowMs: number,
): UnitState {
  const after = outcome === 'installed' ? { ...state, running: version } : state;
  // The install was known before it was reported: it is no second event.
  const { outcome: last } = state;
  if (last?.outcome === outcome && last.version === version && last.digest === digest && digest !== undefined)
    return after;
  return { ...after, outcome: { outcome, version, digest, message: boundedMessage(message), atMs: nowMs } };
}
