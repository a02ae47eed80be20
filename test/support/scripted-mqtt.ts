import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import mqttPacket, { type IConnackPacket, type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet';
import { expectStop, stopped } from './leftovers.js';

/** A broker that says what a test wants it to say, keeps nothing, and cuts those who do what it said it does not allow. */
export class ScriptedMqtt {
  readonly connects: IConnectPacket[] = [];
  readonly published: IPublishPacket[] = [];
  readonly subscribed: string[] = [];
  /** Why clients were cut. */
  readonly violations: string[] = [];
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  constructor(private readonly properties: NonNullable<IConnackPacket['properties']> = {}) {}

  async start(host = '127.0.0.1'): Promise<this> {
    const server = createServer((socket) => {
      this.serve(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    this.server = server;
    expectStop(this, () => this.stop());
    return this;
  }

  get port(): number {
    return (this.server?.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    stopped(this);
    const { server } = this;
    this.server = undefined;
    for (const socket of this.sockets) socket.destroy();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    let protocolVersion = 4;
    let unconfirmed = 0;
    const { maximumPacketSize = Infinity, receiveMaximum = 65_535 } = this.properties;
    const parser = mqttPacket.parser({ protocolVersion: 5 });
    const send = (packet: Packet): void => {
      if (!socket.destroyed) socket.write(mqttPacket.generate(packet, { protocolVersion }));
    };
    const cut = (why: string): void => {
      this.violations.push(why);
      socket.destroy();
    };
    socket.on('data', (bytes) => parser.parse(bytes)).on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
    parser.on('packet', (packet: Packet & { length?: number }) => {
      if (packet.cmd !== 'connect' && (packet.length ?? 0) + 2 > maximumPacketSize) {
        cut(`a ${packet.cmd} of ${packet.length ?? 0} bytes`);
        return;
      }
      switch (packet.cmd) {
        case 'connect':
          this.connects.push(packet);
          protocolVersion = packet.protocolVersion ?? 4;
          send({
            cmd: 'connack',
            reasonCode: 0,
            returnCode: 0,
            sessionPresent: false,
            ...(protocolVersion === 5 && { properties: this.properties }),
          });
          break;
        case 'subscribe': {
          const topics = packet.subscriptions.map(({ topic }) => topic);
          this.subscribed.push(...topics);
          if (this.properties.wildcardSubscriptionAvailable === false && /[#+]/.test(topics.join())) cut('a wildcard');
          else send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: topics.map(() => 0) });
          break;
        }
        case 'unsubscribe':
          send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted: [0] });
          break;
        case 'publish': {
          if (packet.retain && this.properties.retainAvailable === false) cut('a retained message');
          if (packet.qos > (this.properties.maximumQoS ?? 2)) cut(`QoS ${packet.qos}`);
          if (packet.qos > 0 && ++unconfirmed > receiveMaximum) cut(`${unconfirmed} messages at once`);
          if (socket.destroyed) return;
          this.published.push(packet);
          if (packet.qos > 0)
            setTimeout(() => {
              unconfirmed--;
              send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
            }, 5);
          break;
        }
        case 'pingreq':
          send({ cmd: 'pingresp' });
          break;
        default:
      }
    });
  }
}
