/** What `GET /status` answers; `otaflux status --json` prints it as it is. Times are in seconds and ISO 8601. */
export interface Status {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly registry: RegistryStatus;
  readonly webhooks: { readonly waiting: number; readonly oldestSeconds: number };
  readonly notifiers: readonly NotifierStatus[];
  readonly devices: readonly DeviceStatus[];
}

export interface RegistryStatus {
  /** `unknown` before the first answer; `down` while the registry cannot be used, whatever the reason. */
  readonly state: 'unknown' | 'up' | 'down';
  /** When it last gave an answer that could be used. */
  readonly lastAnswer: string | null;
  /** Why it is down. `options` are the variables to look at. */
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
  /** Since the registry last confirmed it. */
  readonly ageSeconds: number;
  /** Why the last refresh failed; null after a good one. */
  readonly failure: string | null;
  /** Whether newer versions are passed over because they are not trusted. */
  readonly passedOver: boolean;
  /** Notifiers that have not confirmed its newest notice. */
  readonly pending: readonly string[];
}
