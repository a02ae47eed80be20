/**
 * The plug-in: `otaflux --plugin ./dist/plugin.js`. It reads two variables of its own:
 *
 * - FIRMWARE_DIR: the folder that holds the firmware. Default: `firmware`.
 * - RELEASE_LOG: the file that lists the releases. Default: `releases.jsonl`.
 */
import { Delivery, injects, type Plugin } from 'otaflux';
import { PlainFiles } from './plain-files.js';
import { ReleaseLog } from './release-log.js';
import { UpdateProtocol } from './update-protocol.js';

const plugin: Plugin = () => ({
  registry: new PlainFiles(process.env.FIRMWARE_DIR ?? 'firmware'),
  notifiers: [new ReleaseLog(process.env.RELEASE_LOG ?? 'releases.jsonl')],
  protocols: [injects(UpdateProtocol, Delivery)],
});

export default plugin;
