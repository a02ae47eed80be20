import { REDIS_REFUSALS, type Refusal } from '../../broker/index.js';

/** What is different for the Redis that replicas share. The first row that matches counts. */
export const SHARED_REDIS_REFUSALS: readonly Refusal[] = [
  {
    says: /NOPERM/,
    means: ({ options }) =>
      `the user lacks a permission. Allow it all commands of the categories @read, @write, @pubsub, @scripting and @connection, for the keys and channels that begin with the prefix, or use another user in ${options.url}`,
  },
  {
    says: /\bMOVED \d|CROSSSLOT/,
    means: ({ options }) =>
      `the server is part of a Redis cluster. Use redis+cluster:// or rediss+cluster:// in ${options.url}`,
  },
  {
    says: /CLUSTERDOWN|Failed to refresh slots cache/,
    means: () => 'the Redis cluster is not complete. Check its nodes: OtaFlux tries again',
  },
  {
    says: /cluster support disabled/i,
    means: ({ options }) => `the server is no Redis cluster. Use redis:// or rediss:// in ${options.url}`,
  },
  {
    says: /All sentinels are unreachable/i,
    means: ({ options }) =>
      `no sentinel answers, or none knows the name. Check that the sentinels run, and hosts and name in ${options.url}`,
  },
  ...REDIS_REFUSALS,
];
