import { addressOf, isSubject, natsOptions, SUBJECT_TAKES, type Target } from '../../broker/index.js';
import type { Notifier } from '../notifier.js';
import { NatsNotifier, type NatsDriver } from './nats-notifier.js';

/**
 * Returns the notifier of `nats://[user:pass@]host[:port][?topic=…&jetstream=…]`, or of the same with `tls://`. Throws
 * ConfigError.
 */
export function create(target: Target, name: string, driver: NatsDriver): Notifier {
  target.demandKnown('jetstream', 'stream', 'hosts');
  const topic = target.topic((text) => isSubject(text.replaceAll('/', '.')), SUBJECT_TAKES);
  return new NatsNotifier(name, addressOf(target), driver, {
    subject: topic.replaceAll('/', '.'),
    stream: target.option('stream'),
    jetStream: target.choice('jetstream', ['auto', 'true', 'false']),
    memory: target.fingerprint,
    connection: natsOptions(target),
  });
}
