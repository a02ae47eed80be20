import { packageVersion } from '../version.js';
import { PLAN, WHY } from './openapi-rollouts.js';

const text = (description: string): object => ({
  description,
  content: { 'text/plain': { schema: { type: 'string' } } },
});
const json = (description: string, schema: object = { type: 'object' }): object => ({
  description,
  content: { 'application/json': { schema } },
});
const parameter = (
  name: string,
  where: 'query' | 'header' | 'path',
  description: string,
  required = false,
): object => ({
  name,
  in: where,
  description,
  required,
  schema: { type: 'string' },
});

const DEVICE = parameter('device', 'query', 'The device id: a repository name behind the prefix', true);
const SIGNED = [
  parameter('expires', 'query', 'Of a signed URL: seconds since the epoch'),
  parameter('signature', 'query', 'Of a signed URL: otaflux sign-url'),
];
/** The responses that every device request may get. */
const REFUSALS = {
  400: text('No device, or an id that none can have'),
  401: text('Nothing known was shown (DEVICE_TOKENS_PATH and its like)'),
  403: text('It is known, and is not this device'),
  404: text('No firmware for this device'),
  405: text('A method other than GET and HEAD'),
  429: text('Too many requests; Retry-After says when'),
  500: text('An error of ours'),
  502: text('The registry refused or answered wrongly'),
  503: text('The registry cannot be asked and nothing is known, or too many downloads; Retry-After says when'),
};

const VERSION = {
  summary: 'What the device should run',
  tags: ['device'],
  parameters: [DEVICE, ...SIGNED],
  responses: {
    200: {
      description: 'VERSION, CHECKSUM and SIZE, a line each; with Accept: application/json an object with digests, too',
      content: {
        'text/plain': { schema: { type: 'string', example: '1.2.3\n3190312966\n942320' } },
        'application/json': {
          schema: {
            type: 'object',
            required: ['device', 'version', 'size', 'crc32', 'checksum', 'md5', 'sha1', 'sha256', 'manifest'],
            properties: {
              device: { type: 'string' },
              version: { type: 'string' },
              size: { type: 'integer' },
              crc32: { type: 'integer' },
              checksum: { type: 'integer' },
              md5: { type: 'string' },
              sha1: { type: 'string' },
              sha256: { type: 'string' },
              manifest: { type: 'string' },
              signedBy: { type: 'string' },
            },
          },
        },
      },
    },
    ...REFUSALS,
  },
};

const REPORT = {
  type: 'object',
  properties: {
    version: { type: 'string', description: 'The version that the outcome is about. Default: the one last offered' },
    outcome: { enum: ['installed', 'failed', 'rejected'] },
    message: { type: 'string', description: 'Why it failed. At most 500 characters are kept' },
    running: { type: 'string', description: 'The version that the unit runs now' },
    hardware: { type: 'string' },
    attributes: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 32 },
  },
};

const bytes = (description: string): object => ({
  description,
  content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
});

const FIRMWARE = {
  summary:
    'The firmware: the version asked for, otherwise the one that this client was offered, otherwise the current one',
  tags: ['device'],
  parameters: [
    DEVICE,
    parameter('version', 'query', 'Exactly this version'),
    parameter('file', 'query', 'Title of another file of the release, or digest of its layer. Default: the firmware'),
    parameter('Range', 'header', 'Up to 32 ranges of bytes'),
    parameter('If-Range', 'header', 'The range only of this ETag or date'),
    parameter('If-None-Match', 'header', '304 for what is there already'),
    ...SIGNED,
  ],
  responses: {
    200: bytes('All of it, with ETag and Content-Length'),
    206: {
      description: 'The range. Several ranges as multipart/byteranges',
      content: {
        'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
        'multipart/byteranges': { schema: { type: 'string', format: 'binary' } },
      },
    },
    304: { description: 'The device has it already' },
    412: text('It is another one than If-Match names'),
    416: text('The range begins behind the end'),
    ...REFUSALS,
  },
};

const FIRMWARE_FILE = {
  ...FIRMWARE,
  summary: 'The same as /firmware?device=PRODUCT, for clients that need the name of a file',
  parameters: [
    parameter('product', 'path', 'The device id. It may contain slashes', true),
    ...FIRMWARE.parameters.filter((one) => one !== DEVICE),
  ],
};

const nullable = (type: string, format?: string): object => ({ type: [type, 'null'], ...(format && { format }) });
const STATUS = {
  type: 'object',
  required: ['version', 'uptimeSeconds', 'registry', 'webhooks', 'notifiers', 'devices', 'plans'],
  properties: {
    version: { type: 'string' },
    uptimeSeconds: { type: 'number' },
    registry: {
      type: 'object',
      required: ['state', 'lastAnswer', 'error'],
      properties: {
        state: { enum: ['unknown', 'up', 'down'] },
        lastAnswer: nullable('string', 'date-time'),
        error: {
          ...nullable('object'),
          required: ['code', 'reason', 'options'],
          properties: {
            code: { type: 'string' },
            reason: { type: 'string' },
            options: { type: 'array', items: { type: 'string' } },
          },
        },
      },
    },
    webhooks: { type: 'object' },
    notifiers: { type: 'array', items: { type: 'object' } },
    devices: { type: 'array', items: { type: 'object' } },
    plans: { type: 'array', items: PLAN },
  },
};

const MANAGEMENT = 'On the management port only.';
const secured = (scheme: 'webhookSecret' | 'managementToken'): object => ({ security: [{ [scheme]: [] }] });

/**
 * Returns the description of the HTTP interface in OpenAPI 3.1. It is written by hand. A test compares it with the
 * routes and their responses.
 */
export function openApi(): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'OtaFlux',
      version: packageVersion(),
      description: 'Devices and webhooks on the device port; metrics, status and probes on the management port.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: [{ name: 'device' }, { name: 'webhook' }, { name: 'probe' }, { name: 'management' }],
    components: {
      securitySchemes: {
        webhookSecret: { type: 'http', scheme: 'bearer', description: 'WEBHOOK_SECRET, if it is set' },
        managementToken: { type: 'http', scheme: 'bearer', description: 'MANAGEMENT_TOKEN, if it is set' },
      },
    },
    paths: {
      '/version': { get: VERSION },
      '/firmware': { get: FIRMWARE },
      '/firmware/{product}.bin': { get: FIRMWARE_FILE },
      '/report': {
        post: {
          summary: 'A unit reports how an update has ended, or what it runs',
          tags: ['device'],
          parameters: [DEVICE, parameter('unit', 'query', 'The unit: 1 to 128 printable characters', true), ...SIGNED],
          requestBody: { required: true, content: { 'application/json': { schema: REPORT } } },
          responses: {
            204: { description: 'Stored' },
            ...REFUSALS,
            405: text('A method other than POST'),
            413: text('Over 64 KiB'),
            415: text('Compressed'),
          },
        },
      },
      '/webhooks/{source}': {
        post: {
          summary: 'A registry tells of a change',
          tags: ['webhook'],
          ...secured('webhookSecret'),
          parameters: [parameter('source', 'path', 'harbor, distribution, cloudevents, github, quay, …', true)],
          requestBody: { required: true, content: { 'application/json': { schema: { type: 'object' } } } },
          responses: {
            200: json('Queued: how many devices are refreshed', {
              type: 'object',
              required: ['queued'],
              properties: { queued: { type: 'integer' }, reason: { type: 'string' } },
            }),
            400: json('Not JSON, or of another shape'),
            401: json('The secret is missing or wrong'),
            404: json('No such source'),
            405: json('Not POST'),
            413: json('Over 1 MiB'),
            415: json('No JSON'),
          },
        },
      },
      '/health': {
        get: { summary: 'The process answers', tags: ['probe'], responses: { 200: { description: 'Empty' } } },
      },
      '/health/live': { get: { summary: 'The same as JSON', tags: ['probe'], responses: { 200: json('Alive') } } },
      '/health/ready': {
        get: {
          summary: 'Devices can be answered',
          tags: ['probe'],
          description: 'On the device port, reasons of errors are left out.',
          responses: { 200: json('Ready, with the states of registry, cache and brokers'), 503: json('Shutting down') },
        },
      },
      '/health/registry': {
        get: {
          summary: 'The registry can be used',
          tags: ['probe'],
          description: 'On the device port, the reason of an error is left out.',
          responses: {
            200: json('The registry can be used'),
            503: json('The registry cannot be used, with the reason and the options to look at; or shutting down'),
          },
        },
      },
      '/metrics': {
        get: {
          summary: 'Prometheus metrics',
          description: MANAGEMENT,
          tags: ['management'],
          responses: { 200: text('Metrics') },
        },
      },
      '/status': {
        get: {
          summary: 'Devices, versions, freshness, pending notices, plans and their rollouts',
          description: MANAGEMENT,
          tags: ['management'],
          ...secured('managementToken'),
          parameters: [parameter('device', 'query', 'Only this one')],
          responses: {
            200: json('The status', STATUS),
            401: json('The token is missing or wrong'),
          },
        },
      },
      '/notify': {
        post: {
          summary: 'Tells the current release of a device again',
          description: MANAGEMENT,
          tags: ['management'],
          ...secured('managementToken'),
          parameters: [DEVICE],
          responses: {
            202: json('Told; whether each notifier has confirmed'),
            400: json('No device'),
            401: json('The token is missing or wrong'),
            404: json('It has no release'),
            503: json('It has no release now'),
          },
        },
      },
      '/why': {
        get: {
          summary: 'What a unit is offered, and why, step by step',
          description: `${MANAGEMENT} As text if the client accepts text/plain only.`,
          tags: ['management'],
          ...secured('managementToken'),
          parameters: [
            parameter('product', 'query', 'The device id', true),
            parameter('unit', 'query', 'The unit. Default: a device that does not say which unit it is'),
            parameter('at', 'query', 'The time of the decision in ISO 8601. Default: now'),
            parameter('running', 'query', 'The version that the unit runs. Default: what it has reported'),
            parameter('hardware', 'query', 'The hardware of the unit. Default: what it has reported'),
            parameter('channel', 'query', 'The channel that the unit asks for'),
          ],
          responses: {
            200: {
              description: 'The decision',
              content: { 'application/json': { schema: WHY }, 'text/plain': { schema: { type: 'string' } } },
            },
            400: json('A parameter is wrong'),
            401: json('The token is missing or wrong'),
            404: json('The product has no release'),
            503: json('The release of the product is not known now'),
          },
        },
      },
      '/units': {
        get: {
          summary: 'What the units of a product have reported',
          description: MANAGEMENT,
          tags: ['management'],
          ...secured('managementToken'),
          parameters: [
            parameter('product', 'query', 'The device id', true),
            parameter('unit', 'query', 'Only this one'),
            parameter('after', 'query', 'The value of next in the page before'),
            parameter('limit', 'query', 'Maximum number of units, 1 to 10,000. Default: 100'),
            parameter('format', 'query', 'json or csv'),
          ],
          responses: {
            200: json('A page of units, or one unit'),
            400: json('A parameter is wrong'),
            401: json('The token is missing or wrong'),
            404: json('No such unit'),
          },
        },
      },
      '/units/retry': {
        post: {
          summary: 'Lets a unit try again the release that it has failed to install',
          description: MANAGEMENT,
          tags: ['management'],
          ...secured('managementToken'),
          parameters: [
            parameter('product', 'query', 'The device id', true),
            parameter('unit', 'query', 'The unit', true),
          ],
          responses: {
            200: json('Done: the outcome that is forgotten, or null'),
            400: json('No product or no unit'),
            401: json('The token is missing or wrong'),
            404: json('No such unit'),
          },
        },
      },
      '/units/forget': {
        post: {
          summary: 'Forgets a unit, with the Mender key that was accepted for it on first use',
          description: MANAGEMENT,
          tags: ['management'],
          ...secured('managementToken'),
          parameters: [
            parameter('product', 'query', 'The device id', true),
            parameter('unit', 'query', 'The unit', true),
          ],
          responses: {
            200: json('Done: what was known of the unit'),
            400: json('No product or no unit'),
            401: json('The token is missing or wrong'),
            404: json('No such unit'),
          },
        },
      },
      '/openapi.json': {
        get: {
          summary: 'This document',
          description: MANAGEMENT,
          tags: ['management'],
          responses: { 200: json('OpenAPI 3.1') },
        },
      },
    },
  };
}
