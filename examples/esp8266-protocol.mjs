/**
 * Speaks to the updaters that come with Arduino for ESP8266 and ESP32, as they are:
 *   otaflux --plugin ./esp8266-protocol.mjs
 *   ESPhttpUpdate.update(client, "ota.example.com", 80, "/update?device=esp8266", "1.0.0");
 * They send the version that runs as x-ESP8266-version or x-ESP32-version if the sketch names it, and always the MD5 of the
 * sketch; they take 304 for "nothing new", and check x-MD5.
 */
import { Delivery, DeviceProtocol, DeviceRefusal, injects } from 'otaflux';

const ROUTE = { route: '/update' };

class Esp8266Protocol extends DeviceProtocol {
  constructor(delivery) {
    super();
    this.delivery = delivery;
  }

  // Asked for every request: a comparison, no more. The route is the label of its metrics.
  match(method, path) {
    return method === 'GET' && path === ROUTE.route ? ROUTE : undefined;
  }

  async handle(request, response) {
    const { headers } = request.raw;
    if (!/^ESP(8266|32)-http-Update$/.test(headers['user-agent'] ?? ''))
      throw new DeviceRefusal(403, 'Only for the updaters of Arduino');
    // A sketch that passes no version to update() is known by the MD5 of what it runs.
    const running = headers['x-esp8266-version'] ?? headers['x-esp32-version'];
    const sketch = (headers['x-esp8266-sketch-md5'] ?? headers['x-esp32-sketch-md5'])?.toLowerCase();
    // Limits and authenticators have passed it already, by the same deviceOf. What Delivery throws (no such device, the
    // registry is down, too many downloads) is answered as for every other client.
    const release = await this.delivery.current(this.deviceOf(request), request);
    if (running === release.version || sketch === release.firmware.md5) {
      response.writeHead(304).end();
      return;
    }
    this.delivery.offer(release, request);
    this.delivery.send(release, request, response, ['x-MD5', release.firmware.md5]);
  }
}

export default { protocols: [injects(Esp8266Protocol, Delivery)] };
