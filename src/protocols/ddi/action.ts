import type { UnitState } from '../../fleet/index.js';

/** A release, as far as an action needs it. */
export interface ActionRelease {
  readonly version: string;
  readonly manifestDigest: string;
}

/** An action that was handed out to a unit, and that it has not closed. */
export interface Action {
  readonly id: number;
  readonly version: string;
  readonly digest: string;
  /** Whether the unit has begun it: it has sent feedback, or has requested the artifact. */
  readonly isStarted: boolean;
  /** When the unit has first said that it runs this version. It may still report, after tests of its own. */
  readonly runsSinceMs: number | undefined;
  /** The last error that the unit has reported meanwhile. */
  readonly error: string | undefined;
  /** When the unit was first asked to cancel it, on the wall clock. */
  readonly cancelMs: number | undefined;
  /** Whether the unit has refused to cancel it. */
  readonly isCancelRefused: boolean;
}

/** A client that has not answered a cancellation for a day never will. Then it is offered the newer release. */
const MAX_CANCEL_MS = 86_400_000;
/** A unit that runs the release of its action reports within this time. */
const MAX_REPORT_MS = 3_600_000;

/** The names of DDI in the notes of a unit. */
interface Notes {
  readonly action?: number | undefined;
  readonly version?: string | undefined;
  readonly digest?: string | undefined;
  readonly started?: boolean | undefined;
  readonly runs?: number | undefined;
  readonly error?: string | undefined;
  readonly cancelMs?: number | undefined;
  readonly refused?: boolean | undefined;
  /** The id of the last action that ended. */
  readonly ended?: number | undefined;
  /** The version of a cancelled action that the unit had begun, and may have installed all the same. */
  readonly begun?: string | undefined;
  /** The retries of the unit when the action was handed out. */
  readonly retries?: number | undefined;
  /** Whether the unit has sent its configData. */
  readonly config?: boolean | undefined;
}

/** Returns the action that a unit has not closed, or undefined. The state comes from a store, so it is checked. */
export function openAction(state: UnitState | undefined): Action | undefined {
  const { action, version, digest, started, runs, error, cancelMs, refused, retries = 0 } = notesOf(state);
  // The operator has asked the unit to begin anew.
  if (retries !== (state?.retries ?? 0)) return undefined;
  if (typeof action !== 'number' || typeof version !== 'string' || typeof digest !== 'string') return undefined;
  return {
    id: action,
    version,
    digest,
    isStarted: started === true,
    runsSinceMs: typeof runs === 'number' ? runs : undefined,
    error: typeof error === 'string' ? error : undefined,
    cancelMs: typeof cancelMs === 'number' ? cancelMs : undefined,
    isCancelRefused: refused === true,
  };
}

/** What a unit is asked to do with its open action: go on, cancel it, or nothing: then it is forgotten. */
export type Standing = 'offered' | 'cancel' | 'forgotten';

/**
 * Returns the standing of an open action while `release` is the current release. Undefined: there is none. The digest
 * decides: the same manifest under another tag has the same bytes.
 */
export function standingOf(action: Action, release: ActionRelease | undefined, nowMs: number): Standing {
  if (action.digest === release?.manifestDigest) return 'offered';
  if (action.cancelMs !== undefined && isOver(action.cancelMs, MAX_CANCEL_MS, nowMs)) return 'forgotten';
  // A unit on a stepping stone may take the next release at once, but has not reported this one yet.
  if (
    action.cancelMs === undefined &&
    action.runsSinceMs !== undefined &&
    !isOver(action.runsSinceMs, MAX_REPORT_MS, nowMs)
  )
    return 'offered';
  return action.isCancelRefused ? 'offered' : 'cancel';
}

/** A time in the future is that of a clock that was wrong. */
const isOver = (sinceMs: number, durationMs: number, nowMs: number): boolean => Math.abs(nowMs - sinceMs) > durationMs;

/** Returns whether the unit has ended this action before. */
export const hasEnded = (state: UnitState | undefined, id: number): boolean => notesOf(state).ended === id;
/** Returns whether the unit has sent its configData. */
export const hasConfig = (state: UnitState | undefined): boolean => notesOf(state).config === true;
/** Returns the version that the unit had begun to install when its action was cancelled. */
export const begunVersion = (state: UnitState | undefined): string | undefined => notesOf(state).begun;

/** Returns the state after a release was handed out as the action `id`. */
export function handedOut(state: UnitState, id: number, { version, manifestDigest: digest }: ActionRelease): UnitState {
  const { ended, begun, config } = notesOf(state);
  return withNotes(state, { action: id, version, digest, ended, begun, config, retries: state.retries });
}

/** Returns the state after the unit has begun its action, and has reported an error, if there is one. */
export const started = (state: UnitState, error?: string): UnitState =>
  withNotes(state, { ...notesOf(state), started: true, ...(error !== undefined && { error }) });
/** Returns the state after the unit has sent its configData. */
export const configured = (state: UnitState): UnitState => withNotes(state, { ...notesOf(state), config: true });
/** Returns the state after the unit has said that it runs the version of its action. */
export const running = (state: UnitState, nowMs: number): UnitState =>
  withNotes(state, { ...notesOf(state), runs: notesOf(state).runs ?? nowMs });
/** Returns the state after the unit was asked to cancel its action. */
export const cancelling = (state: UnitState, nowMs: number): UnitState =>
  withNotes(state, { ...notesOf(state), cancelMs: nowMs });
/** Returns the state after the unit has refused to cancel its action. */
export const cancelRefused = (state: UnitState): UnitState => withNotes(state, { ...notesOf(state), refused: true });

/** Returns the state after the action `id` has ended. */
export function ended(state: UnitState, id: number): UnitState {
  return withNotes(state, { ended: id, config: notesOf(state).config });
}

/** Returns the state after the unit has cancelled its action, or was not asked any more. */
export function cancelled(state: UnitState, action: Action): UnitState {
  const after = ended(state, action.id);
  return action.isStarted ? withNotes(after, { ...notesOf(after), begun: action.version }) : after;
}

/** Returns the state without the version that the unit had begun before. */
export function settled(state: UnitState): UnitState {
  return withNotes(state, { ...notesOf(state), begun: undefined });
}

function notesOf(state: UnitState | undefined): Notes {
  return state?.notes ?? {};
}

function withNotes(state: UnitState, notes: Notes): UnitState {
  const given = Object.entries(notes).filter(
    (note): note is [string, string | number | boolean] => note[1] !== undefined,
  );
  return { ...state, notes: Object.fromEntries(given) };
}
