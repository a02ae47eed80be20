import type * as Zod from 'zod';
import * as kinds from './kinds.js';
import { mismatch, type Kind } from './kinds.js';

export const MAX_RULES = 10_000;
export const MAX_CHANNELS = 100;
export const MAX_ROLLOUTS = 200;
export const MAX_STAGES = 100;
export const MAX_YANKED = 1_000;
const MAX_ATTRIBUTES = 10;
/** Where editors find the schema. */
const SCHEMA_ID = 'https://raw.githubusercontent.com/otaflux/otaflux/main/config/otaflux-plan.schema.json';

/** The content of a plan in its schema. Everything else in it is checked by `parsePlan`. */
export type PlanContent = Zod.infer<PlanSchema['schema']>;
export type PlanSchema = ReturnType<typeof planSchema>;

/** Returns the schema of plans. The library is handed in, because a start without plans must not load it. */
export function planSchema(z: typeof Zod) {
  const scalars = new Map<unknown, Kind<unknown>>();

  function scalar<T>(kind: Kind<T>, description: string) {
    const schema = z
      .string({ error: ({ input }) => mismatch(input, kind.expected) })
      .transform((text, context): T => {
        const value = kind.read(text);
        if (value !== undefined) return value;
        context.issues.push({ code: 'custom', input: text, message: mismatch(text, kind.expected) });
        return z.NEVER;
      })
      .describe(description);
    scalars.set(schema, kind);
    return schema;
  }

  const object = <T extends Zod.ZodRawShape>(shape: T, description: string) =>
    z.strictObject(shape).describe(description);

  const stage = object(
    {
      percent: scalar(
        kinds.percent,
        'Share of all units that are offered the version in this stage. It rises from stage to stage.',
      ),
      for: scalar(
        kinds.duration,
        'How long the stage lasts at least. Only a stage with `until` may leave it out.',
      ).optional(),
      until: object(
        {
          succeeded: scalar(kinds.share, 'Share of the finished installs that must have succeeded.'),
          least: scalar(
            kinds.count,
            'Number of units that must have reported how their install ended. Default: 20.',
          ).optional(),
        },
        'The stage does not end before so many units have reported that their install succeeded. Without enough reports it waits.',
      ).optional(),
    },
    'A share of all units. A stage contains the one before it.',
  );

  const rollout = object(
    {
      version: scalar(kinds.version, 'The version that is rolled out. A version has one rollout.'),
      channels: z
        .array(scalar(kinds.name, 'Name of a channel.'))
        .min(1)
        .max(MAX_CHANNELS)
        .describe(
          'The channels whose units get the version by this rollout. Default: the default channel. In other channels that contain the version, it is offered at once.',
        )
        .optional(),
      from: scalar(
        kinds.rangeWithPrereleases,
        'Only units that run a version of this range are offered the version. A unit that does not say what it runs is not.',
      ).optional(),
      starts: scalar(
        kinds.time,
        'When the first stage begins, and before which nobody is offered the version. Required if there are stages.',
      ).optional(),
      stages: z
        .array(stage)
        .max(MAX_STAGES)
        .describe('After the last stage, everybody is offered the version.')
        .optional(),
      halt: object(
        {
          failed: scalar(
            kinds.share,
            'The rollout halts when more than this share of its finished installs has failed.',
          ),
          least: scalar(
            kinds.count,
            'Number of finished installs from which on the share counts. Default: 20.',
          ).optional(),
        },
        'When the rollout stops by itself: no unit is offered the version any more, in no channel, until `otaflux rollout resume`.',
      ).optional(),
      rate: scalar(kinds.rate, 'Most units that are newly offered the version in a time, over all units.').optional(),
      window: object(
        {
          from: scalar(kinds.clockTime, 'Begin of the window. Write it in quotes.'),
          to: scalar(kinds.clockTime, 'End of the window. Before `from` if the window goes over midnight.'),
          zone: scalar(
            kinds.zone,
            'Time zone for units that do not report a valid one in their attribute `timezone`. Default: UTC.',
          ).optional(),
        },
        'Time of the day in which units are newly offered the version.',
      ).optional(),
      paused: scalar(
        kinds.pause,
        '`true`: no further unit is offered the version, and the stages go on. A time: also the stages stand still, from that time on. Default: false.',
      ).optional(),
      downgrade: scalar(
        kinds.flag,
        'Whether units that run a higher version are offered this one. Default: false.',
      ).optional(),
      attempt: scalar(
        kinds.count,
        'Rises when a halted rollout is resumed; installs are then counted anew. Default: 1.',
      ).optional(),
      reached: scalar(
        kinds.count,
        'Number of the stage that was reached when the rollout was halted, from 1. Only for a later attempt: it begins with this stage, which then ends without `least` reports, because units that have installed the version do not report again. Default: it begins with the first stage, and no stage waits for `least` reports.',
      ).optional(),
    },
    'How a version gets to the units of its channels, stage by stage.',
  );

  const channel = object(
    {
      versions: scalar(
        kinds.range,
        'Range of versions (node-semver). Units of the channel are offered the highest one that can be served.',
      ).optional(),
      prereleases: scalar(kinds.flag, 'Whether pre-releases in the range count. Default: false.').optional(),
      version: scalar(
        kinds.version,
        'Exactly this version, in place of a range. Units that run a higher one go back to it.',
      ).optional(),
    },
    'A set of units that are offered the same versions: either `versions` or `version`.',
  );

  const unitRule = object(
    {
      match: scalar(
        kinds.glob,
        'The unit, or a glob with `*`, `?` and `[a-f]` over it. Case does not matter.',
      ).optional(),
      where: z
        .record(z.string().min(1).max(128), scalar(kinds.glob, 'A glob; for `running` a range of versions.'))
        .refine((attributes) => Object.keys(attributes).length > 0, 'it is empty. Name an attribute, such as hardware')
        .refine(
          (attributes) => Object.keys(attributes).length <= MAX_ATTRIBUTES,
          `expected at most ${MAX_ATTRIBUTES} attributes`,
        )
        .describe(
          'Globs over what the unit has reported: `hardware`, `running` (a range of versions), `unit`, or an attribute of its protocol, such as one of the configData of DDI. All must match.',
        )
        .optional(),
      channel: scalar(kinds.name, 'The channel that the unit gets its releases from.').optional(),
      version: scalar(
        kinds.version,
        'Pins the unit to exactly this version, without its rollout. A unit that runs a higher one goes back to it.',
      ).optional(),
    },
    'Assigns units to a channel or to a version: `match`, `where` or both, and either `channel` or `version`.',
  );

  const schema = object(
    {
      serial: scalar(
        kinds.serial,
        'Rises with every change of the plan. A plan with a lower serial than one that was seen is refused.',
      ),
      product: scalar(
        kinds.product,
        'Device id of the product. If it is given, the plan is refused in the repository of another product.',
      ).optional(),
      channels: z
        .record(z.string(), channel)
        .refine((channels) => Object.keys(channels).length > 0, 'it is empty. Name a channel, such as stable')
        .refine((channels) => Object.keys(channels).length <= MAX_CHANNELS, `expected at most ${MAX_CHANNELS} channels`)
        .describe('The channels by name. Default: one channel `default` with all versions.')
        .optional(),
      default: scalar(
        kinds.name,
        'The channel of units that no rule names. Required if there are several channels.',
      ).optional(),
      units: z
        .array(unitRule)
        .max(MAX_RULES)
        .describe('Rules that assign units. The first rule that matches counts.')
        .optional(),
      rollouts: z
        .array(rollout)
        .max(MAX_ROLLOUTS)
        .describe(
          'How versions get to their units. A version without a rollout is offered to everybody in its channels at once.',
        )
        .optional(),
      yanked: z
        .array(scalar(kinds.version, 'A version.'))
        .max(MAX_YANKED)
        .describe(
          'Versions that are never offered again. Units that run one are offered what their channel says, even if it is lower.',
        )
        .optional(),
    },
    'How the releases of a product get to its units.',
  );
  return { schema, scalars };
}

/**
 * JSON Schema (draft 7) of plans, for editors.
 *
 * @param annotate adds more to the schema of a scalar, for the reference
 */
export function planJsonSchema(z: typeof Zod, annotate?: (kind: Kind<unknown>) => object): object {
  const { schema, scalars } = planSchema(z);
  const json = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    override({ zodSchema, jsonSchema }) {
      const kind = scalars.get(zodSchema);
      if (!kind) return;
      delete jsonSchema.type;
      Object.assign(jsonSchema, kind.schema, annotate?.(kind));
    },
  });
  const { $schema, ...rest } = json;
  return { $schema, $id: SCHEMA_ID, title: 'Plan of OtaFlux', ...rest };
}
