/**
 * A device protocol for the update libraries of Arduino: ESPhttpUpdate (ESP8266) and HTTPUpdate (ESP32).
 *
 * On the server:
 *   otaflux --plugin ./esp8266-protocol.mjs
 * In the sketch:
 *   ESPhttpUpdate.update(client, "ota.example.com", 80, "/update?device=esp8266", "1.0.0");
 *
 * The libraries always send the MD5 of the running sketch. They send its version in x-ESP8266-version or
 * x-ESP32-version if the sketch passes one. A 304 means that there is no update. They check the download against x-MD5.
 */
import { Delivery, DeviceProtocol, DeviceRefusal, injects } from 'otaflux';

const ROUTE = { route: '/update' };

class Esp8266Protocol extends DeviceProtocol {
  constructor(delivery) {
    super();
    this.delivery = delivery;
  }

  // Runs for every request, so it only compares. The route becomes the label of the metrics.
  match(method, path) {
    return method === 'GET' && path === ROUTE.route ? ROUTE : undefined;
  }

  async handle({ product }, request, response) {
    const { headers } = request.raw;
    if (!/^ESP(8266|32)-http-Update$/.test(headers['user-agent'] ?? ''))
      throw new DeviceRefusal(403, 'Only for the update libraries of Arduino');
    // If the sketch passes no version to update(), compare the MD5 of the running sketch.
    const running = headers['x-esp8266-version'] ?? headers['x-esp32-version'];
    const sketch = (headers['x-esp8266-sketch-md5'] ?? headers['x-esp32-sketch-md5'])?.toLowerCase();
    // Limits and authenticators have already accepted the request for this device. Do not catch errors of Delivery (no such
    // device, registry down, too many downloads): OtaFlux answers them as for every other client.
    const release = await this.delivery.current(product, request);
    if (running === release.version || sketch === release.firmware.md5) {
      response.writeHead(304).end();
      return;
    }
    this.delivery.offer(release, request);
    this.delivery.send(release, request, response, ['x-MD5', release.firmware.md5]);
  }
}

export default { protocols: [injects(Esp8266Protocol, Delivery)] };
