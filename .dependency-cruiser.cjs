/**
 * "Who may import whom" of docs/architecture.md, enforced by `npm run lint`.
 * A room lists the rooms that it may import; `config`, `metrics`, `settings` and these files are open to all: `abort.ts`, `constant-time.ts`, `errors.ts`, `esp-image.ts`, `backoff.ts`, `clock.ts`, `file-problem.ts`, `folders.ts`, `glob.ts`, `http-date.ts`, `http-proxy.ts`, `identity.ts`, `no-proxy.ts`, `parts.ts`, `pem.ts`, `percent.ts`, `redact.ts`, `reloaded.ts`, `repository-name.ts`, `request-context.ts`, `semver.ts`, `signed-url.ts`, `speaks-tls.ts`, `system-errors.ts`, `timers.ts`, `tracing.ts`, `usable-folder.ts`, `version.ts`.
 */
const rooms = {
  oci: [],
  cache: [],
  config: [],
  metrics: [],
  settings: [],
  logging: [],
  registry: ['oci'],
  signature: ['registry', 'oci'],
  plan: [],
  firmware: ['plan', 'signature', 'registry', 'oci', 'cache'],
  fleet: ['replicas', 'broker'],
  replicas: ['broker'],
  rollout: ['plan', 'fleet', 'firmware', 'signature', 'registry', 'oci', 'cache'],
  delivery: ['plan', 'firmware', 'signature', 'registry', 'oci', 'cache'],
  protocols: ['plan', 'rollout', 'fleet', 'delivery', 'firmware', 'signature', 'registry', 'oci', 'cache'],
  device: ['plan', 'rollout', 'protocols', 'fleet', 'delivery', 'firmware', 'signature', 'registry', 'oci', 'cache'],
  webhook: ['device', 'fleet', 'replicas', 'plan', 'firmware', 'signature', 'registry', 'oci', 'cache'],
  health: ['firmware', 'signature', 'registry', 'oci', 'cache'],
  broker: [],
  notification: ['broker', 'plan', 'rollout', 'replicas', 'firmware', 'oci'],
  control: ['plan', 'rollout', 'fleet', 'firmware', 'notification', 'oci'],
  events: ['broker', 'webhook', 'fleet', 'protocols', 'firmware', 'oci'],
};

/**
 * Files that may be entered beside the doors. They load neither the framework nor the YAML parser, which a command that
 * serves nothing, or a server that needs no YAML, would wait for (decision 41).
 */
const sideDoors = [
  'config/yaml',
  'control/(units|why)',
  'device/access/credentials',
  'firmware/(assessor|conditions|firmware-locator|passed-over|repository-prefix|select-version)',
  'oci/names',
  'plan/(parse-plan|plan)',
  'registry/(adapters|wrong-size)',
  'rollout/rollout-status',
  'signature/create-verifier',
];

const leaves = { oci: ['errors'], config: ['errors'], metrics: ['errors', 'config'], settings: ['errors', 'config'] };

const roomRules = Object.entries(rooms).map(([room, allowed]) => {
  const open = leaves[room] ?? ['errors', 'config', 'metrics', 'settings'];
  const folders = [room, ...allowed, ...open.filter((name) => name !== 'errors')].join('|');
  return {
    name: `${room}-imports`,
    comment: `${room}/ may import ${[...allowed, ...open].join(', ') || 'nothing'}`,
    severity: 'error',
    from: { path: `^src/${room}/`, pathNot: '\\.spec\\.ts$' },
    to: {
      path: '^src/',
      pathNot: [
        `^src/(${folders})/`,
        '^src/(abort|constant-time|errors|esp-image|backoff|clock|file-problem|folders|glob|http-date|http-proxy|identity|no-proxy|parts|pem|percent|redact|reloaded|repository-name|request-context|schema-problem|semver|signed-url|speaks-tls|system-errors|timers|tracing|usable-folder|version)\\.ts$',
      ],
    },
  };
});

module.exports = {
  forbidden: [
    ...roomRules,
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'door-only',
      comment: "a room is entered by its index.ts, never by another room's inside",
      severity: 'error',
      from: { path: '^src/([^/]+)/', pathNot: '\\.spec\\.ts$' },
      to: {
        path: '^src/[^/]+/',
        pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$', `^src/(${sideDoors.join('|')})\\.ts$`],
      },
    },
    {
      name: 'door-only-from-the-top',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/[^/]+/index\\.ts$', '^src/cli/'] },
    },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, pathNot: ['\\.spec\\.ts$', '\\.d\\.ts$'] }, to: {} },
    {
      name: 'declared',
      severity: 'error',
      from: {},
      // A peer dependency that the tests install, too, is called npm-no-pkg as well.
      to: { dependencyTypes: ['npm-no-pkg', 'unknown', 'undetermined'], dependencyTypesNot: ['npm-peer', 'npm-dev'] },
    },
    {
      name: 'no-dev-dependency-in-product',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.spec\\.ts$' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only', 'npm-peer'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    exclude: { path: '\\.spec\\.ts$' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
