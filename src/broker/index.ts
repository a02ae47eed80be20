export { addressOf, addressOfMqttUrl, type BrokerAddress } from './broker-address.js';
export { brokerFailure, type Refusal } from './broker-failure.js';
export { demandMqttVersion, kafkaOptions, mqttOptions, natsOptions, rabbitMqOptions, redisOptions } from './clients.js';
export { loadDriver } from './driver.js';
export { KAFKA_REFUSALS } from './kafka-refusals.js';
export { deviceOf, wordsOf } from './levels.js';
export { MQTT_REFUSALS } from './mqtt-refusals.js';
export {
  EXCHANGE_TAKES,
  isExchange,
  isKafkaTopic,
  isSubject,
  KAFKA_TOPIC_TAKES,
  MQTT_TOPIC_TAKES,
  SUBJECT_TAKES,
} from './names.js';
export { NATS_REFUSALS } from './nats-refusals.js';
export { RABBITMQ_REFUSALS } from './rabbitmq-refusals.js';
export { REDIS_REFUSALS } from './redis-refusals.js';
export { demandPair, readPem, Target, urlOf, type BrokerOption, type TlsFiles } from './target.js';
