import type { PlanStatus } from '../rollout/index.js';

/** The response of `GET /status`, which `otaflux status --json` prints unchanged. Times are in seconds and ISO 8601. */
export interface Status {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly registry: RegistryStatus;
  readonly webhooks: { readonly waiting: number; readonly oldestSeconds: number };
  readonly notifiers: readonly NotifierStatus[];
  readonly devices: readonly DeviceStatus[];
  /** Products with a plan, by name. */
  readonly plans: readonly PlanStatus[];
}

export interface RegistryStatus {
  /** `unknown` before the first answer or failure. `down` while the registry cannot be used, for any reason. */
  readonly state: 'unknown' | 'up' | 'down';
  /** Time of its last usable answer. */
  readonly lastAnswer: string | null;
  /** Why it is down. `options` are the variables of the options to check. */
  readonly error: { readonly code: string; readonly reason: string; readonly options: readonly string[] } | null;
}

export interface NotifierStatus {
  readonly name: string;
  readonly connected: boolean;
  readonly pending: number;
}

export interface DeviceStatus {
  readonly device: string;
  readonly version: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** Time since the registry last confirmed it. */
  readonly ageSeconds: number;
  /** Why the last refresh failed; null after a successful one. */
  readonly failure: string | null;
  /** Whether newer versions are skipped because they are not trusted. */
  readonly passedOver: boolean;
  /** Notifiers that have not confirmed its newest notice. */
  readonly pending: readonly string[];
}
