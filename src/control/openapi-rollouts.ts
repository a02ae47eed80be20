const nullable = (type: string, format?: string): object => ({ type: [type, 'null'], ...(format && { format }) });

/** The schema of Why. */
export const WHY = {
  type: 'object',
  required: ['product', 'unit', 'at', 'serial', 'channel', 'offered', 'digest', 'reason', 'about', 'decision', 'steps'],
  properties: {
    product: { type: 'string' },
    unit: nullable('string'),
    at: { type: 'string', format: 'date-time' },
    serial: { ...nullable('integer'), description: 'Serial of the plan' },
    running: nullable('string'),
    hardware: nullable('string'),
    asked: { ...nullable('string'), description: 'The channel that the request has named' },
    channel: { ...nullable('string'), description: 'The channel of the unit' },
    offered: { ...nullable('string'), description: 'The version that is offered' },
    digest: nullable('string'),
    reason: {
      enum: [
        ...['newest', 'channel', 'stage', 'pin', 'up-to-date', 'newer', 'failed', 'hardware', 'requires'],
        ...['unavailable', 'yanked', 'halted', 'waiting'],
      ],
    },
    about: { ...nullable('string'), description: 'The version that the reason is about' },
    decision: { type: 'string' },
    steps: {
      type: 'array',
      items: {
        type: 'object',
        required: ['subject', 'finding'],
        properties: { subject: { type: 'string' }, finding: { type: 'string' } },
      },
    },
  },
};

const ROLLOUT = {
  type: 'object',
  required: ['version', 'attempt', 'channels', 'state', 'stage', 'stages', 'percent', 'offered', 'installed', 'failed'],
  properties: {
    version: { type: 'string' },
    attempt: { type: 'integer' },
    channels: { type: 'array', items: { type: 'string' } },
    state: { enum: ['scheduled', 'running', 'waiting', 'paused', 'halted', 'complete'] },
    stage: { type: 'integer', description: 'From 1. 0 before the start, one more than stages when it is complete' },
    stages: { type: 'integer' },
    percent: { type: 'number' },
    since: nullable('string', 'date-time'),
    until: nullable('string', 'date-time'),
    waitsFor: nullable('string'),
    paused: { type: ['string', 'boolean'], description: 'Since when it is paused, or whether it is' },
    halted: {
      ...nullable('object'),
      required: ['reason', 'at'],
      properties: { reason: { type: 'string' }, at: { type: 'string', format: 'date-time' } },
    },
    offered: { type: 'integer' },
    installed: { type: 'integer' },
    failed: { type: 'integer' },
  },
};

/** The schema of PlanStatus. */
export const PLAN = {
  type: 'object',
  required: ['product', 'serial', 'digest', 'rejected', 'shared', 'rollouts'],
  properties: {
    product: { type: 'string' },
    serial: { ...nullable('integer'), description: 'Null if no plan could be taken: then nothing is offered' },
    digest: nullable('string'),
    rejected: {
      ...nullable('object'),
      description: 'Why a newer plan is not taken',
      required: ['reason', 'digest'],
      properties: { reason: { type: 'string' }, digest: nullable('string') },
    },
    shared: { type: 'boolean', description: 'Whether counts and halts are shared between replicas' },
    rollouts: { type: 'array', items: ROLLOUT },
  },
};
