/**
 * Speaks to the updaters that come with Arduino for ESP8266 and ESP32, as they are:
 *   otaflux --plugin ./esp8266-protocol.mjs
 *   ESPhttpUpdate.update(client, "ota.example.com", 80, "/update?device=esp8266", "1.0.0");
 * They send the version that runs as x-ESP8266-version or x-ESP32-version, take 304 for "nothing new", and check x-MD5.
 */
import { Delivery, DeviceProtocol, DeviceRefusal, injects } from 'otaflux';

const ROUTE = { route: '/update' };

class Esp8266Protocol extends DeviceProtocol {
  constructor(delivery) {
    super();
    this.delivery = delivery;
  }

  // Asked for every request: a comparison, no more. The route is the label of its metrics.
  match(_method, path) {
    return path === ROUTE.route ? ROUTE : undefined;
  }

  async handle(request, response) {
    const { headers } = request.raw;
    const running = headers['x-esp8266-version'] ?? headers['x-esp32-version'];
    if (running === undefined) throw new DeviceRefusal(403, 'Only for the updaters of Arduino');
    // Limits and authenticators have passed it already, by the same deviceOf. What Delivery throws (no such device, the
    // registry is down, too many downloads) is answered as for every other client.
    const release = await this.delivery.current(this.deviceOf(request), request);
    if (running === release.version) {
      response.writeHead(304).end();
      return;
    }
    this.delivery.offer(release, request);
    this.delivery.send(release, request, response, ['x-MD5', release.firmware.md5]);
  }
}

export default { protocols: [injects(Esp8266Protocol, Delivery)] };
