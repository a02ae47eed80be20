import type { Refusal } from './broker-failure.js';

/** Redis answers with an error code in capitals (Redis, "RESP protocol", simple errors). */
export const REDIS_REFUSALS: readonly Refusal[] = [
  {
    says: /NOAUTH/,
    means: ({ options }) => `the server demands a password. Set ${options.login}`,
  },
  {
    says: /WRONGPASS|invalid password|invalid username-password/,
    means: ({ options }) => `the server refused the user or the password. Correct ${options.login}`,
  },
  {
    says: /NOPERM|EXECABORT/,
    means: ({ options }) =>
      `the user lacks a permission. Allow it the commands ping, scan, mget, set, del, publish and multi, and the keys and channels below ${options.topic}`,
  },
  {
    says: /DB index is out of range/,
    means: ({ options }) => `the database does not exist. Correct the number after the / in ${options.url}`,
  },
  {
    says: /READONLY/,
    means: ({ options }) =>
      `the server is a replica, which accepts no writes. Use the address of the primary in ${options.url}`,
  },
  {
    says: /\bMOVED \d|CROSSSLOT|CLUSTERDOWN/,
    means: ({ options }) =>
      `the server is part of a Redis cluster, which is not supported. Use a single server in ${options.url}`,
  },
  {
    says: /OOM command not allowed/,
    means: () => 'the memory of the server is full. Raise its maxmemory',
  },
  {
    says: /LOADING/,
    means: () => 'the server is still loading its data. Wait: OtaFlux tries again',
  },
  {
    says: /Unknown RESP type|Protocol error|unknown command/i,
    means: ({ options }) => `the server does not speak Redis. Check the host and port in ${options.url}`,
  },
];
