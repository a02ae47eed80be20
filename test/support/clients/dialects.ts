import { firmwareBytes } from '../bytes.js';
import { espImage } from '../esp-image.js';
import { artifactOf } from '../mender-artifact.js';
import type { TestService } from '../service.js';
import { DdiUnit } from './ddi.js';
import { MenderUnit } from './mender.js';

/** What a unit says besides its name. */
export interface DialectAsk {
  readonly running?: string | undefined;
  readonly channel?: string | undefined;
}

/** The poll of a protocol, and how it says that an update has failed. */
export interface Dialect {
  readonly file: string;
  readonly bytes: (version: string) => Buffer;
  /** Returns the version that a unit is offered, or undefined if it is offered nothing. */
  poll(service: TestService, unit: string, ask: DialectAsk): Promise<string | undefined>;
  /** Reports that the update that was offered last has ended. */
  end(service: TestService, unit: string, outcome: 'installed' | 'failed'): Promise<void>;
  /** Whether its requests can name a channel. */
  readonly namesChannels: boolean;
}

/** The product of all dialects. */
export const PRODUCT = 'board';

const report = async (service: TestService, unit: string, outcome: string): Promise<void> => {
  const response = await service.fetch(`/report?device=${PRODUCT}&unit=${encodeURIComponent(unit)}`, {
    method: 'POST',
    body: JSON.stringify({ outcome }),
  });
  if (response.status !== 204) throw new Error(`report: ${response.status} ${await response.text()}`);
};

const query = (unit: string, { running, channel }: DialectAsk): string =>
  `unit=${encodeURIComponent(unit)}${running === undefined ? '' : `&running=${running}`}${channel === undefined ? '' : `&channel=${channel}`}`;

const versionIn = (location: string | null): string | undefined =>
  decodeURIComponent(/\/([^/?]+)\.(?:swu|raucb)(?:\?|$)/.exec(location ?? '')?.[1] ?? '') || undefined;

const mac = (unit: string): string => unit;

/** Artifacts of the registry have names of their own. A version that is not there is only known as a version. */
const artifactName = (version: string): string => (/^1\.[01]\.0$/.test(version) ? `rel-${version}` : version);

/** Mender units stay logged in. */
const menders = new WeakMap<TestService, Map<string, MenderUnit>>();
function menderOf(service: TestService, unit: string): MenderUnit {
  let units = menders.get(service);
  if (!units) menders.set(service, (units = new Map<string, MenderUnit>()));
  let found = units.get(unit);
  if (!found) {
    const identity = { mac: unit };
    found = new MenderUnit(service.port, { client: 'mcu', identity, deviceType: PRODUCT, artifactName: 'factory' });
    units.set(unit, found);
  }
  return found;
}

const ddiOf = (service: TestService, unit: string): DdiUnit => new DdiUnit(() => service, unit, PRODUCT);

export const DIALECTS: Readonly<Record<string, Dialect>> = {
  native: {
    file: 'app.bin',
    bytes: (version) => firmwareBytes(3_000, version),
    namesChannels: true,
    async poll(service, unit, ask) {
      const response = await service.fetch(`/version?device=${PRODUCT}&${query(unit, ask)}`);
      const text = await response.text();
      if (response.status === 404) return undefined;
      if (response.status !== 200) throw new Error(`${response.status} ${text}`);
      const [version] = text.split('\n');
      return version === ask.running ? undefined : version;
    },
    end: report,
  },
  arduino: {
    file: 'app.bin',
    bytes: (version) => firmwareBytes(3_000, version),
    namesChannels: true,
    async poll(service, unit, { running, channel }) {
      const response = await service.fetch(
        `/firmware?device=${PRODUCT}${channel === undefined ? '' : `&channel=${channel}`}`,
        {
          headers: {
            'User-Agent': 'ESP32-http-Update',
            'x-ESP32-STA-MAC': mac(unit),
            'x-ESP32-sketch-md5': 'none',
            ...(running !== undefined && { 'x-ESP32-version': running }),
          },
        },
      );
      await response.arrayBuffer();
      if (response.status === 304) return undefined;
      if (response.status !== 200) throw new Error(String(response.status));
      return response.headers.get('x-version') ?? '';
    },
    end: report,
  },
  esphome: {
    file: 'app.ota.bin',
    bytes: (version) => Buffer.concat([espImage({ chip: 5 }), firmwareBytes(2_000, version)]),
    namesChannels: true,
    async poll(service, unit, ask) {
      const response = await service.fetch(`/esphome/${PRODUCT}/manifest.json?${query(unit, ask)}`);
      const text = await response.text();
      if (response.status === 404) return undefined;
      if (response.status !== 200) throw new Error(`${response.status} ${text}`);
      const { version } = JSON.parse(text) as { version: string };
      return version === ask.running || version === '' ? undefined : version;
    },
    end: report,
  },
  swupdate: {
    file: 'app.swu',
    bytes: (version) => firmwareBytes(3_000, version),
    namesChannels: true,
    async poll(service, unit, ask) {
      const response = await service.fetch(`/swupdate/${PRODUCT}?${query(unit, ask)}`, { redirect: 'manual' });
      await response.arrayBuffer();
      if (response.status === 404) return undefined;
      if (response.status !== 302) throw new Error(String(response.status));
      return versionIn(response.headers.get('location'));
    },
    async end(service, unit, outcome) {
      const response = await service.fetch(`/swupdate/${PRODUCT}/log?unit=${encodeURIComponent(unit)}`, {
        method: 'PUT',
        body: outcome === 'installed' ? `success,${unit}` : `fail,${unit}`,
      });
      if (response.status !== 204) throw new Error(String(response.status));
    },
  },
  rauc: {
    file: 'app.raucb',
    bytes: (version) => firmwareBytes(3_000, version),
    namesChannels: true,
    async poll(service, unit, { running, channel }) {
      const response = await service.fetch(`/rauc/${PRODUCT}${channel === undefined ? '' : `?channel=${channel}`}`, {
        redirect: 'manual',
        headers: { 'RAUC-Serial': unit, ...(running !== undefined && { 'RAUC-System-Version': running }) },
      });
      await response.arrayBuffer();
      if (response.status === 204) return undefined;
      if (response.status !== 302) throw new Error(String(response.status));
      return versionIn(response.headers.get('location'));
    },
    end: report,
  },
  ddi: {
    file: 'app.swu',
    bytes: (version) => firmwareBytes(3_000, version),
    namesChannels: false,
    async poll(service, unit, { running }) {
      const ddi = ddiOf(service, unit);
      if (running !== undefined) await ddi.configure({ version: running });
      const link = await ddi.link();
      if (link?.startsWith('cancelAction/')) {
        await ddi.cancelFeedback(link.slice('cancelAction/'.length), 'closed');
        return this.poll(service, unit, {});
      }
      if (link === undefined) return undefined;
      const answer = (await (await ddi.send('GET', `/${link}`)).json()) as {
        deployment: { chunks: { version: string }[] };
      };
      return answer.deployment.chunks[0]?.version;
    },
    async end(service, unit, outcome) {
      const ddi = ddiOf(service, unit);
      const id = await ddi.action();
      await ddi.feedback(id, 'closed', outcome === 'installed' ? 'success' : 'failure');
    },
  },
  mender: {
    file: 'app.mender',
    bytes: (version) => artifactOf(artifactName(version), [PRODUCT], firmwareBytes(2_000, version)),
    namesChannels: false,
    async poll(service, unit, { running }) {
      const mender = menderOf(service, unit);
      if (running !== undefined) mender.artifactName = artifactName(running);
      if (mender.token === undefined) await mender.login();
      const { status, body } = await mender.next();
      if (status === 204) return undefined;
      if (status !== 200) throw new Error(`${status} ${body.toString()}`);
      const { artifact } = JSON.parse(body.toString()) as { artifact: { artifact_name: string } };
      return artifact.artifact_name.replace(/^rel-/, '');
    },
    async end(service, unit, outcome) {
      const mender = menderOf(service, unit);
      const { body } = await mender.next();
      const { id } = JSON.parse(body.toString()) as { id: string };
      await mender.status(id, 'downloading');
      await mender.status(id, outcome === 'installed' ? 'success' : 'failure');
    },
  },
};
