import { TrustedRoot } from '@sigstore/protobuf-specs';
// By their files: the package's door brings nock, which takes over all HTTP of the process.
import { initializeCA, type CA } from '@sigstore/mock/dist/fulcio/ca.js';
import { initializeCTLog, type CTLog } from '@sigstore/mock/dist/fulcio/ctlog.js';
import { initializeTLog, type TLog } from '@sigstore/mock/dist/rekor/tlog.js';
import { initializeTSA, type TSA } from '@sigstore/mock/dist/timestamp/tsa.js';
import { createHash, generateKeyPairSync, sign, type KeyPairKeyObjectResult } from 'node:crypto';
import { BUNDLE_TYPE, pae, payloadFor, statementFor } from './sign.js';

const LOG_URL = 'https://rekor.private.example';
const ISSUER_OID = '1.3.6.1.4.1.57264.1.8';
const SHA256_OID = '2.16.840.1.101.3.4.2.1';
const IN_TOTO = 'application/vnd.in-toto+json';

const keyPair = (): KeyPairKeyObjectResult => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const sha256Of = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
const base64 = (bytes: ArrayBufferView | Buffer): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
const pemOf = (der: ArrayBufferView): string =>
  `-----BEGIN CERTIFICATE-----\n${
    base64(der)
      .match(/.{1,64}/g)
      ?.join('\n') ?? ''
  }\n-----END CERTIFICATE-----\n`;

export interface KeylessOptions {
  identity?: string;
  issuer?: string;
  /** What happens to the log entry of the bundle before it is stored. */
  log?: 'none' | 'later' | 'other-log';
  timestamp?: boolean;
}

interface ProposedEntry {
  readonly kind: string;
  readonly apiVersion: string;
  readonly spec: object;
}

/** What Rekor answers, by entry id. */
type Logged = Record<
  string,
  {
    readonly body: string;
    readonly integratedTime: number;
    readonly logIndex: number;
    readonly logID: string;
    readonly verification: {
      readonly signedEntryTimestamp: string;
      readonly inclusionProof: {
        readonly logIndex: number;
        readonly rootHash: string;
        readonly treeSize: number;
        readonly checkpoint: string;
      };
    };
  }
>;

interface SerializedEntry {
  inclusionProof: { hashes: string[]; checkpoint: { envelope: string }; [name: string]: unknown };
  inclusionPromise: { signedEntryTimestamp: string };
  [name: string]: unknown;
}

/** A bundle, with the parts that tests tamper with. */
export interface KeylessBundle {
  mediaType: string;
  verificationMaterial: {
    certificate: { rawBytes: string };
    tlogEntries: SerializedEntry[];
    timestampVerificationData?: { rfc3161Timestamps: { signedTimestamp: string }[] };
  };
  dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] };
}

/** A Sigstore of one's own: certificate authority, logs and timestamp authority, without a server. */
export class PrivateSigstore {
  private constructor(
    private readonly ca: CA,
    private readonly ctlog: CTLog | undefined,
    private readonly log: TLog,
    /** The same log, an hour from now. */
    private readonly laterLog: TLog,
    private readonly otherLog: TLog,
    private readonly tsa: TSA,
    /** Of the timestamp authority. */
    private readonly clock: Date,
  ) {}

  static async create({ ctlog = true } = {}): Promise<PrivateSigstore> {
    const logKeys = keyPair();
    const clock = new Date();
    const ct = ctlog ? await initializeCTLog(keyPair()) : undefined;
    return new PrivateSigstore(
      await initializeCA(keyPair(), ct),
      ct,
      await initializeTLog(LOG_URL, logKeys),
      await initializeTLog(LOG_URL, logKeys, new Date(Date.now() + 3_600_000)),
      await initializeTLog(LOG_URL, keyPair()),
      await initializeTSA(keyPair(), clock),
      clock,
    );
  }

  /** Its `trusted_root.json`. */
  get trustedRoot(): string {
    const validFor = { start: new Date(Date.now() - 3_600_000) };
    const log = (publicKey: Buffer, keyId: Buffer, baseUrl: string): object => ({
      baseUrl,
      hashAlgorithm: 1,
      publicKey: { rawBytes: publicKey, keyDetails: 5, validFor },
      logId: { keyId },
    });
    const authority = (...certificates: ArrayBufferView[]): object => ({
      subject: { organization: 'private', commonName: 'private' },
      uri: 'https://private.example',
      certChain: { certificates: certificates.map((der) => ({ rawBytes: Buffer.from(base64(der), 'base64') })) },
      validFor,
    });
    const message = {
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      certificateAuthorities: [authority(this.ca.rootCertificate)],
      tlogs: [log(this.log.publicKey, sha256Of(this.log.publicKey), LOG_URL)],
      ctlogs: this.ctlog
        ? [log(this.ctlog.publicKey, Buffer.from(base64(this.ctlog.logID), 'base64'), 'https://ct.private.example')]
        : [],
      timestampAuthorities: [authority(this.tsa.intCertificate, this.tsa.rootCertificate)],
    };
    return JSON.stringify(TrustedRoot.toJSON(message as unknown as TrustedRoot));
  }

  /** Signs a manifest as cosign v3 does without a key. */
  async bundle(digest: string, options: KeylessOptions = {}): Promise<KeylessBundle> {
    const payload = Buffer.from(JSON.stringify(statementFor(digest)));
    const { certificate, privateKey } = await this.certificate(options);
    const signature = sign('sha256', pae(IN_TOTO, payload), privateKey);
    const spec = {
      envelopeHash: { algorithm: 'sha256', value: sha256Of(payload).toString('hex') },
      payloadHash: { algorithm: 'sha256', value: sha256Of(payload).toString('hex') },
      signatures: [
        { signature: signature.toString('base64'), verifier: Buffer.from(pemOf(certificate)).toString('base64') },
      ],
    };
    const entry = await this.logged({ kind: 'dsse', apiVersion: '0.0.1', spec }, options);
    return {
      mediaType: BUNDLE_TYPE,
      verificationMaterial: {
        certificate: { rawBytes: base64(certificate) },
        tlogEntries: entry ? [entry] : [],
        ...(options.timestamp && {
          timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: await this.timestamped(signature) }] },
        }),
      },
      dsseEnvelope: {
        payload: payload.toString('base64'),
        payloadType: IN_TOTO,
        signatures: [{ sig: signature.toString('base64') }],
      },
    };
  }

  /** Signs a manifest as cosign v2 does without a key: the payload, the signature and the annotations of its layer. */
  async legacy(
    digest: string,
    options: KeylessOptions = {},
  ): Promise<{ payload: Buffer; signature: Buffer; annotations: Record<string, string> }> {
    const payload = payloadFor(digest);
    const { certificate, privateKey } = await this.certificate(options);
    const signature = sign('sha256', payload, privateKey);
    const spec = {
      data: { hash: { algorithm: 'sha256', value: sha256Of(payload).toString('hex') } },
      signature: {
        content: signature.toString('base64'),
        publicKey: { content: Buffer.from(pemOf(certificate)).toString('base64') },
      },
    };
    const [entry] = Object.values((await this.log.log({ kind: 'hashedrekord', apiVersion: '0.0.1', spec })) as Logged);
    const bundle = {
      SignedEntryTimestamp: entry?.verification.signedEntryTimestamp,
      Payload: {
        body: entry?.body,
        integratedTime: entry?.integratedTime,
        logIndex: entry?.logIndex,
        logID: entry?.logID,
      },
    };
    return {
      payload,
      signature,
      annotations: {
        'dev.sigstore.cosign/certificate': pemOf(certificate),
        ...(options.log !== 'none' && { 'dev.sigstore.cosign/bundle': JSON.stringify(bundle) }),
      },
    };
  }

  private async certificate({
    identity = 'https://github.com/acme/firmware/.github/workflows/release.yml@refs/heads/main',
    issuer = 'https://token.actions.githubusercontent.com',
  }: KeylessOptions): Promise<{ certificate: ArrayBufferView; privateKey: KeyPairKeyObjectResult['privateKey'] }> {
    const { publicKey, privateKey } = keyPair();
    const certificate = await this.ca.issueCertificate({
      publicKey: publicKey.export({ format: 'der', type: 'spki' }),
      subjectAltName: identity,
      extensions: [{ oid: ISSUER_OID, value: issuer }],
    });
    return { certificate, privateKey };
  }

  private async logged(entry: ProposedEntry, { log }: KeylessOptions): Promise<SerializedEntry | undefined> {
    if (log === 'none') return undefined;
    const target = log === 'later' ? this.laterLog : log === 'other-log' ? this.otherLog : this.log;
    const [logged] = Object.values((await target.log(entry)) as Logged);
    const proof = logged?.verification.inclusionProof;
    return {
      logIndex: String(logged?.logIndex),
      logId: { keyId: Buffer.from(logged?.logID ?? '', 'hex').toString('base64') },
      kindVersion: { kind: entry.kind, version: entry.apiVersion },
      integratedTime: String(logged?.integratedTime),
      inclusionPromise: { signedEntryTimestamp: logged?.verification.signedEntryTimestamp ?? '' },
      inclusionProof: {
        logIndex: String(proof?.logIndex),
        rootHash: Buffer.from(proof?.rootHash ?? '', 'hex').toString('base64'),
        treeSize: String(proof?.treeSize),
        hashes: [],
        checkpoint: { envelope: proof?.checkpoint ?? '' },
      },
      canonicalizedBody: logged?.body,
    };
  }

  private async timestamped(signature: Buffer): Promise<string> {
    // Whole seconds, as real authorities tell: @sigstore/core 3 cannot read a fraction that DER has shortened (`.12Z`).
    this.clock.setTime(Math.floor(Date.now() / 1000) * 1000);
    const response = await this.tsa.timestamp({
      artifactHash: sha256Of(signature),
      hashAlgorithmOID: SHA256_OID,
      nonce: 1,
      policyOID: '1.3.6.1.4.1.57264.2',
      certReq: true,
    });
    return base64(response);
  }
}
