import type { IConnackPacket } from 'mqtt';

/** What a broker allows, as its answer to our connection says (MQTT 5.0, section 3.2.2.3). An older broker says nothing. */
export interface BrokerLimits {
  readonly retains: boolean;
  readonly qos: 0 | 1;
  /** In bytes, the whole packet. */
  readonly maximumPacketSize: number;
  /** Messages that may be on their way without a confirmation. */
  readonly receiveMaximum: number;
  /** Whether a subscription may have wildcards. */
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

/** What the limits mean for those who are told of releases, a sentence for each; none for a broker that allows all. */
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

/** The bytes of a PUBLISH packet without properties (MQTT 5.0, section 3.3). */
export function publishBytes(topic: string, payload: string, qos: 0 | 1): number {
  const remaining = 2 + Buffer.byteLength(topic) + (qos > 0 ? 2 : 0) + 1 + Buffer.byteLength(payload);
  const lengthBytes = remaining < 2 ** 7 ? 1 : remaining < 2 ** 14 ? 2 : remaining < 2 ** 21 ? 3 : 4;
  return 1 + lengthBytes + remaining;
}
