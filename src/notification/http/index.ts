import type { Settings } from '../../config/index.js';
import { addressOf, type Target } from '../../broker/index.js';
import type { Notifier } from '../notifier.js';
import { HttpNotifier } from './http-notifier.js';

/** Returns the notifier of `http[s]://…#format=…`. Throws ConfigError. */
export function create(target: Target, name: string, settings: Pick<Settings, 'notifySecret'>): Notifier {
  target.demandKnown('format');
  const url = new URL(target.url);
  const { username, password } = target;
  url.username = url.password = url.hash = '';
  return new HttpNotifier({
    name,
    url: url.href,
    address: addressOf(target),
    format: target.choice('format', ['cloudevents', 'slack']),
    memory: target.fingerprint,
    secret: settings.notifySecret,
    authorization:
      username === undefined
        ? undefined
        : `Basic ${Buffer.from(`${username}:${password ?? ''}`, 'utf8').toString('base64')}`,
    tls: target.tlsFiles(),
  });
}
