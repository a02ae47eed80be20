/** A message of a broker, in the same form for every kind of broker. */
export interface EventMessage {
  /** Its topic, subject, channel or routing key, as the broker spells it. */
  readonly topic: string;
  readonly payload: Buffer;
  /** The headers of the message, in lower case. Attributes of a CloudEvent in binary mode are `ce-…`. */
  readonly headers: Readonly<Record<string, string>>;
  /** The key of a Kafka record. */
  readonly key?: string;
  /** The subscription that it was sent for, where the broker says so: overlapping subscriptions get a copy each. */
  readonly filter?: string;
  /** A message that the broker kept, and sent because of the subscription (MQTT). */
  readonly retained: boolean;
}

/** The context of a message: the parameter with `@Ctx()` of a handler with `@EventPattern()`. */
export class EventContext {
  constructor(
    /** Name of the broker, as in metrics and logs. */
    readonly broker: string,
    /** The kind of broker, such as `mqtt`. */
    readonly kind: string,
    readonly message: EventMessage,
  ) {}

  getTopic(): string {
    return this.message.topic;
  }

  /** The bytes of the message. The parameter with `@Payload()` has the parsed JSON, or the text if it is not JSON. */
  getPayload(): Buffer {
    return this.message.payload;
  }

  getHeaders(): Readonly<Record<string, string>> {
    return this.message.headers;
  }

  getArgs(): [EventMessage] {
    return [this.message];
  }

  getArgByIndex(index: number): EventMessage | undefined {
    return this.getArgs()[index];
  }
}

/** How brokers spell attributes of CloudEvents (CloudEvents 1.0: NATS and HTTP; Kafka; AMQP). */
const CLOUD_EVENT = /^(?:ce[-_]|cloudevents[:_])/;

/** Returns headers in lower case. Attributes of CloudEvents become `ce-…`, whatever the broker. */
export function headersOf(entries: Iterable<readonly [string, unknown]>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of entries) {
    const text = Buffer.isBuffer(value) || typeof value === 'string' ? String(value) : undefined;
    if (text !== undefined) headers[name.toLowerCase().replace(CLOUD_EVENT, 'ce-')] = text;
  }
  return headers;
}
