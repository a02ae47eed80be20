/** The tokens of a subject (NATS, "Subject-Based Messaging"): no spaces, no wildcards, and not empty. */
const SUBJECT = /^[^\s.*>$][^\s.*>]*(?:\.[^\s.*>]+)*$/;
/** Kafka: org.apache.kafka.common.internals.Topic, legal names. */
const KAFKA_TOPIC = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;

export const isSubject = (text: string): boolean => SUBJECT.test(text);
export const SUBJECT_TAKES = 'a subject without spaces, * and >, such as firmware.releases';

export const isKafkaTopic = (text: string): boolean => KAFKA_TOPIC.test(text);
export const KAFKA_TOPIC_TAKES = 'a topic of letters, digits, ., _ and -, such as firmware.releases';

/** A name that the broker does not reserve (AMQP 0-9-1, exchange.declare), at most 255 bytes long. */
export const isExchange = (text: string): boolean => Buffer.byteLength(text) <= 255 && !text.startsWith('amq.');
export const EXCHANGE_TAKES = 'the name of an exchange, such as firmware.releases';

export const MQTT_TOPIC_TAKES = 'a topic without + and #, such as firmware/releases';
