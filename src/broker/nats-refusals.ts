import type { Refusal } from './broker-failure.js';

/** The words of nats-server (server/errors.json) and of its client library. */
export const NATS_REFUSALS: readonly Refusal[] = [
  {
    says: /Authorization Violation|AuthorizationError|authentication (?:expired|timeout)/i,
    means: ({ hasLogin, options }) =>
      hasLogin
        ? `the server refused the user, password or token. Correct ${options.login}`
        : `the server demands a user and a password, or a token. Set ${options.login}`,
  },
  {
    says: /Permissions Violation/i,
    means: ({ options }) =>
      `the user lacks a permission. Allow it to publish below ${options.topic} and, with JetStream, to $JS.API.>, and to subscribe to _INBOX.>`,
  },
  {
    says: /jetstream is not enabled|JetStreamNotEnabled|no responders|\b10039\b|\b10076\b/i,
    means: ({ options }) =>
      `the server has no JetStream, or not for this account. Enable JetStream there, or use ?jetstream=auto in ${options.url}`,
  },
  {
    says: /server does not support 'tls'|'tls' is not available/,
    means: ({ options }) => `the server does not speak TLS. Use nats:// in ${options.url}, or enable TLS in the server`,
  },
  {
    says: /Secure Connection - TLS Required/i,
    means: ({ options }) => `the server expects TLS. Use tls:// in ${options.url}`,
  },
  {
    says: /TimeoutError .*timeout|unexpected response from server/i,
    means: ({ options }) => `no NATS server answers there. Check the host and port in ${options.url}, and the firewall`,
  },
  {
    says: /maximum (?:account )?(?:active )?connections exceeded/i,
    means: () => 'the server has no free connection. Raise its max_connections',
  },
];
