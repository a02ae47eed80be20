import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { RedisLink } from './redis-connection.js';

/** The Redis of REDIS_URL, if there is one. Folders that share something through it ask for it here. */
@Injectable()
export class SharedRedis implements OnApplicationShutdown {
  constructor(readonly link: RedisLink | undefined) {}

  /** Modules end in the order of their imports; those that use Redis have written by then what they had to write. */
  onApplicationShutdown(): void {
    // Fleet writes until the end of its own shutdown, so the connection is closed by those who wrote last.
    if (this.users === 0) this.link?.close();
  }

  private users = 0;

  /** Keeps the connection open until the returned function was called. */
  use(): () => void {
    this.users++;
    return () => {
      if (--this.users === 0) this.link?.close();
    };
  }
}
