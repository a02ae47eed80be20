/**
 * Speaks to the updaters that come with Arduino for ESP8266 and ESP32, as they are:
 *   otaflux --plugin ./esp8266-protocol.mjs
 *   ESPhttpUpdate.update(client, "ota.example.com", 80, "/update?device=esp8266", "1.0.0");
 * They send the version that runs as x-ESP8266-version or x-ESP32-version, take 304 for "nothing new", and check x-MD5.
 */
import { pipeline } from 'node:stream/promises';
import { DeviceProtocol, DeviceRefusal, injects, ReleaseService } from 'otaflux';

class Esp8266Protocol extends DeviceProtocol {
  constructor(releases) {
    super();
    this.releases = releases;
  }

  // Asked for every request: a comparison, no more.
  match(_method, path) {
    return path === '/update';
  }

  async handle(request, response) {
    const { headers } = request.raw;
    const running = headers['x-esp8266-version'] ?? headers['x-esp32-version'];
    if (running === undefined) throw new DeviceRefusal(403, 'Only for the updaters of Arduino');
    // Limits and authenticators have passed it already, by the same deviceOf.
    const release = await this.releases.current(this.deviceOf(request));
    if (running === release.version) {
      response.writeHead(304).end();
      return;
    }
    await this.releases.deliverable(release);
    const lease = this.releases.open(release);
    response.once('close', () => lease.release());
    const { sizeBytes, md5 } = release.firmware;
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': sizeBytes,
      'x-MD5': md5,
    });
    if (lease.bytes) response.end(lease.bytes);
    else await pipeline(lease.read(0, sizeBytes - 1), response);
  }
}

export default { protocols: [injects(Esp8266Protocol, ReleaseService)] };
