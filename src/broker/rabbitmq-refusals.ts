import type { Refusal } from './broker-failure.js';

/** The words of RabbitMQ and of amqplib. */
export const RABBITMQ_REFUSALS: readonly Refusal[] = [
  {
    says: /Handshake terminated by server: 403|Login was refused|ACCESS.REFUSED.*[Ll]ogin/,
    means: ({ hasLogin, options }) =>
      hasLogin
        ? `the broker refused the user or the password. Correct ${options.login}`
        : `the broker refused the default user guest. Set ${options.login}`,
  },
  {
    says: /Expected ConnectionOpenOk|NOT.ALLOWED.*vhost|vhost .* not found/i,
    means: ({ options }) =>
      `the virtual host does not exist, or the user may not access it. Correct the virtual host, the path of the URL in ${options.url}, or give the user access to it`,
  },
  {
    says: /ACCESS.REFUSED/,
    means: ({ options }) =>
      `the user lacks a permission. Allow it to configure and write the exchange of ${options.topic}`,
  },
  {
    says: /PRECONDITION.FAILED/,
    means: ({ options }) =>
      `the exchange exists with other properties. Choose another one in ${options.topic}, or delete it: OtaFlux needs a durable topic exchange`,
  },
  {
    says: /Frame size|Invalid frame|Frame error|AMQP version|Server sent/i,
    means: ({ options }) => `the server does not speak AMQP 0-9-1. Check the host and port in ${options.url}`,
  },
  {
    says: /CONNECTION.FORCED|RESOURCE.ERROR/,
    means: () => 'the broker closed the connection. Check its log',
  },
];
