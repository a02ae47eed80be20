import type * as kafkajs from 'kafkajs';
import { addressOf, isKafkaTopic, KAFKA_TOPIC_TAKES, kafkaOptions, type Target } from '../../broker/index.js';
import type { Notifier } from '../notifier.js';
import { KafkaNotifier } from './kafka-notifier.js';

type Driver = typeof kafkajs;

/** Returns the notifier of `kafka[s]://[user:pass@]host:port[,host:port…][?topic=…&sasl=…]`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): Notifier {
  target.demandKnown('hosts', 'sasl');
  const topic = target.topic((text) => isKafkaTopic(text.replaceAll('/', '.')), KAFKA_TOPIC_TAKES);
  return new KafkaNotifier(name, addressOf(target), topic.replaceAll('/', '.'), driver, kafkaOptions(target));
}
