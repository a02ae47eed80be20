import { Module, type DynamicModule } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { Alone, Replicas } from './replicas.js';
import { SharedRedis } from './shared-redis.js';

/** Provides Replicas, and SharedRedis for folders that share something with other replicas. */
@Module({})
export class ReplicasModule {
  static forRoot(): DynamicModule {
    return {
      module: ReplicasModule,
      providers: [
        { provide: SharedRedis, useFactory: createSharedRedis, inject: [Settings] },
        { provide: Replicas, useFactory: createReplicas, inject: [SharedRedis] },
      ],
      exports: [Replicas, SharedRedis],
    };
  }
}

/** Connects to the Redis of REDIS_URL. Rejects with ConfigError for a wrong URL, not if Redis cannot be reached. */
async function createSharedRedis({ redisUrl }: Settings): Promise<SharedRedis> {
  if (redisUrl === undefined) return new SharedRedis(undefined);
  // The library is only loaded if it is used.
  const { ConnectedRedis, redisPlace } = await import('./redis/index.js');
  const link = new ConnectedRedis(await redisPlace(redisUrl));
  await link.start();
  return new SharedRedis(link);
}

async function createReplicas({ link }: SharedRedis): Promise<Replicas> {
  if (!link) return new Alone();
  return new (await import('./redis/index.js')).RedisReplicas(link);
}
