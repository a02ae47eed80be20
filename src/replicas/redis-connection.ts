import type { Observable } from 'rxjs';

/** A Lua script: Redis runs it as one step. All its keys must be of one hash tag. */
export interface RedisScript {
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
}

/** A message of another replica: `topic` says who reads it. Its content is not trusted. */
export interface RedisNews {
  readonly topic: string;
  readonly text: string;
}

/** The connection to the Redis that replicas share. While Redis fails, calls reject at once. */
export interface RedisLink {
  /** Names this process among the replicas. */
  readonly replica: string;
  /** Whether Redis answered last. */
  readonly isUp: boolean;
  /** Emits when Redis works again: what was missed has to be read, what waits can be written. */
  readonly restored: Observable<void>;
  /** Messages of other replicas. */
  readonly news: Observable<RedisNews>;
  /** The name of the channel, for scripts that tell the others in the same step. */
  readonly channel: string;
  /** Name of a key. Keys of the same `tag` are on the same node of a cluster. */
  key(tag: string, name: string): string;
  /** Runs a command. Rejects with OtaError `unavailable` within 250 ms, at once while Redis fails. */
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  /** Runs a script. Rejects as `call` does: then it may have run, or may still run. */
  script(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** Tells the other replicas. It may be lost. */
  tell(topic: string, text: string): void;
  close(): void;
}
