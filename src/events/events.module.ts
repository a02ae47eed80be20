import { Injectable, Module, type OnModuleDestroy } from '@nestjs/common';

interface Closable {
  close(): Promise<void>;
}

/** The open connections to brokers of EVENTS. They are closed first, so that nothing arrives during the shutdown. */
@Injectable()
export class EventConnections implements OnModuleDestroy {
  private readonly servers: Closable[] = [];

  add(server: Closable): void {
    this.servers.push(server);
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()));
  }
}

/** Provides what `connectEvents` needs. It loads nothing of `@nestjs/microservices`. */
@Module({ providers: [EventConnections] })
export class EventsModule {}
