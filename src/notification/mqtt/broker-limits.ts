import type { IConnackPacket } from 'mqtt';

/** The limits of a broker, from its answer to the connection (MQTT 5.0, section 3.2.2.3). Older brokers send none. */
export interface BrokerLimits {
  readonly retains: boolean;
  readonly qos: 0 | 1;
  /** Size of a complete packet in bytes. */
  readonly maximumPacketSize: number;
  /** Number of unconfirmed messages. */
  readonly receiveMaximum: number;
  /** Whether subscriptions may have wildcards. */
  readonly wildcards: boolean;
}

/** MQTT 5.0, section 3.2.2.3.3. */
const MAX_RECEIVE_MAXIMUM = 65_535;

export function limitsOf({ properties = {} }: Pick<IConnackPacket, 'properties'>): BrokerLimits {
  return {
    retains: properties.retainAvailable !== false,
    qos: properties.maximumQoS === 0 ? 0 : 1,
    maximumPacketSize: properties.maximumPacketSize ?? Infinity,
    receiveMaximum: properties.receiveMaximum ?? MAX_RECEIVE_MAXIMUM,
    wildcards: properties.wildcardSubscriptionAvailable !== false,
  };
}

/** Returns the effects of the limits on subscribers, one sentence each. Empty for a broker without limits. */
export function consequencesOf({ retains, qos, wildcards }: BrokerLimits): string[] {
  return [
    ...(retains
      ? []
      : [
          'the broker does not retain messages: a device that subscribes later does not get the last one. Enable retained messages in the broker',
        ]),
    ...(qos === 1
      ? []
      : ['the broker allows only QoS 0: a message that is lost is not sent again. Allow QoS 1 in the broker']),
    ...(wildcards
      ? []
      : [
          'the broker allows no wildcard subscriptions: its retained messages cannot be read back. Allow them in the broker',
        ]),
  ];
}

/** Returns the size of a PUBLISH packet without properties (MQTT 5.0, section 3.3). */
export function publishBytes(topic: string, payload: string, qos: 0 | 1): number {
  const remaining = 2 + Buffer.byteLength(topic) + (qos > 0 ? 2 : 0) + 1 + Buffer.byteLength(payload);
  const lengthBytes = remaining < 2 ** 7 ? 1 : remaining < 2 ** 14 ? 2 : remaining < 2 ** 21 ? 3 : 4;
  return 1 + lengthBytes + remaining;
}
