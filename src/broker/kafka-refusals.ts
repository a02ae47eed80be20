import type { Refusal } from './broker-failure.js';

/** The error types of the Kafka protocol, and the words of kafkajs. */
export const KAFKA_REFUSALS: readonly Refusal[] = [
  {
    says: /size of an answer out of range/,
    means: ({ options }) => `the server does not speak Kafka. Check the host and port in ${options.url}`,
  },
  {
    says: /mechanism is not supported|UNSUPPORTED_SASL_MECHANISM/,
    means: ({ options }) =>
      `the broker does not support this SASL mechanism. Use ?sasl=scram-sha-512, scram-sha-256 or plain in ${options.url}, as in the configuration of the broker`,
  },
  {
    says: /SASL_AUTHENTICATION_FAILED|SASLAuthentication|SASL .*failed|ILLEGAL_SASL_STATE/i,
    means: ({ options }) =>
      `the broker refused the user or the password. Correct ${options.login}, and the mechanism in ?sasl=`,
  },
  {
    says: /GROUP_AUTHORIZATION_FAILED/,
    means: () => 'the user may not use consumer groups. Allow it Read and Delete for groups with the prefix otaflux-',
  },
  {
    says: /(?:TOPIC|CLUSTER)_AUTHORIZATION_FAILED/,
    means: ({ options }) =>
      `the user may not use the topic. Allow it Describe, Read and Write for ${options.topic}, and Create if the topic does not exist`,
  },
  {
    says: /UNKNOWN_TOPIC_OR_PARTITION|INVALID_TOPIC/,
    means: ({ options }) =>
      `the topic does not exist, and could not be created. Create it, or correct ${options.topic}`,
  },
  {
    says: /NOT_ENOUGH_REPLICAS|INVALID_REPLICATION_FACTOR/,
    means: () =>
      'the topic has too few in-sync replicas. Check the other brokers, min.insync.replicas and default.replication.factor',
  },
  {
    says: /MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE/,
    means: () => 'the broker accepts no message of this size. Raise its message.max.bytes',
  },
];
