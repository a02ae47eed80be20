import type { Logger } from '@nestjs/common';

/** Most kinds of problems that are told apart on a connection. */
const MAX_KINDS = 100;
/** A topic may be 64 KB long. */
const MAX_TOPIC = 200;

/** Logs each kind of problem with messages once for each connection. Metrics count all of them. */
export class Problems {
  private readonly told = new Set<string>();

  constructor(
    private readonly logger: Logger,
    private readonly broker: string,
  ) {}

  report(kind: string, reason: string, topic?: string): void {
    if (this.told.has(kind) || this.told.size >= MAX_KINDS) return;
    this.told.add(kind);
    this.logger.warn({
      event: 'events.message_problem',
      broker: this.broker,
      ...(topic !== undefined && { topic: topic.slice(0, MAX_TOPIC) }),
      reason: `${reason}. Further messages with this problem are only counted`,
    });
  }

  /** Called for a new connection. */
  forget(): void {
    this.told.clear();
  }
}
