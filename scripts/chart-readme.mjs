/** Makes the README of the chart: its introduction, and a table of the values and their comments. */
import { chartValues } from './chart-values.mjs';

const INTRODUCTION = `<!-- Generated from values.yaml by \`npm run docs\`. -->

# OtaFlux

[OtaFlux](https://github.com/otaflux/otaflux) serves firmware to IoT devices over HTTP, straight from a container registry.

\`\`\`sh
helm install ota oci://ghcr.io/otaflux/charts/otaflux --set otaflux.registry.url=https://registry.example.com
helm test ota
\`\`\`

The [guide](https://github.com/otaflux/otaflux/blob/main/docs/kubernetes.md) has values for production and explains
persistence, network policies, monitoring and upgrades.

Required: Kubernetes 1.25 or newer, Helm 3.8 or newer.

## Values

\`helm\` refuses unknown values and values that the server would refuse.
`;

const cell = (text) => text.replaceAll('|', '\\|');
const code = (value) => `\`${JSON.stringify(value).replaceAll('|', '\\|')}\``;
/** Maps whose keys are values of the chart; others are one row with their default. */
const nested = (path) => !/Probe$|ecurityContext$|nnotations$|abels$/.test(path);

function rows(values) {
  return values.flatMap(({ path, description, value, children }) =>
    children ? rows(children) : [`| \`${path}\` | ${cell(description)} | ${code(value)} |`],
  );
}

function section({ path, description, children }) {
  return `### ${description}\n\n${table(children ?? [], path)}`;
}

function table(values) {
  return `| value | description | default |\n| --- | --- | --- |\n${rows(values).join('\n')}\n`;
}

export function chartReadme(text) {
  const values = chartValues(text, nested);
  const [server, ...others] = values;
  const groups = server.children.filter(({ children }) => children);
  const plain = server.children.filter(({ children }) => !children);
  const parts = [
    INTRODUCTION,
    `### ${server.description}\n\n${table(plain)}`,
    ...groups.map(section),
    ...others.filter(({ children }) => children).map(section),
    `### Pods\n\n${table(others.filter(({ children }) => !children))}`,
  ];
  return parts.join('\n');
}
