import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments, parseDocument, stringify } from 'yaml';
import { flagOf, gather, optionOf, parseSettings, VARIABLES } from '../../src/config/index.js';
import { ROOT } from './page.js';
import { inFile, outcomeOf } from './programs.js';

const CHART = join(ROOT, 'helm/otaflux');
/** The version of the cluster, which helm without one does not know, and the value that every release needs. */
const OPTIONS = ['--kube-version', '1.34.0', '--set', 'otaflux.registry.url=https://registry.example.com'];
const SCHEMAS = join(ROOT, 'test/fixtures/kubernetes-schemas/{{.ResourceKind}}{{.KindSuffix}}.json');

/** What is wrong with YAML: its syntax, and what it means where that can be seen. */
export async function yamlProblems(text: string): Promise<string[]> {
  const documents = parseAllDocuments(text);
  const errors = documents.flatMap((document) => document.errors.map(({ message }) => message));
  if (errors.length > 0) return errors;
  const all = await Promise.all(documents.map((document) => meaningProblems(document.toJS() as unknown, text)));
  return all.flat();
}

async function meaningProblems(content: unknown, text: string): Promise<string[]> {
  if (Array.isArray(content) && content.every((entry) => has(entry, 'alert') || has(entry, 'record')))
    return ruleProblems({ groups: [{ name: 'documentation', rules: content }] });
  if (has(content, 'groups')) return ruleProblems(content);
  if (has(content, 'apiVersion') && has(content, 'kind')) return objectProblems(content);
  if (isMapping(content)) {
    const keys = Object.keys(content);
    if (keys.every((key) => optionKeys().has(key))) return optionProblems(text);
    if (keys.every((key) => valueKeys().has(key))) return valuesProblems(text);
  }
  return [];
}

/** An option file: what it says of each option. Files with secrets are the reader's. */
async function optionProblems(text: string): Promise<string[]> {
  const document = parseDocument(text);
  for (const key of Object.keys(document.toJS() as object)) if (key.endsWith('-file')) document.delete(key);
  return inFile('otaflux.yaml', String(document), async (config) => {
    try {
      parseSettings({
        REGISTRY_URL: { value: 'oci:.', where: 'REGISTRY_URL' },
        ...(await gather({ flags: { config }, environment: {} })),
      });
      return [];
    } catch (error) {
      return [String(error)];
    }
  });
}

/** Values of the chart. */
const valuesProblems = (text: string): Promise<string[]> =>
  inFile('values.yaml', text, (file) => outcomeOf('helm', ['template', 'release', CHART, ...OPTIONS, '-f', file]));

const ruleProblems = (rules: unknown): Promise<string[]> =>
  inFile('rules.yaml', stringify(rules), (file) => outcomeOf('promtool', ['check', 'rules', file]));

const objectProblems = (object: unknown): Promise<string[]> =>
  inFile('object.yaml', stringify(object), (file) =>
    outcomeOf('kubeconform', ['-strict', '-ignore-missing-schemas', '-schema-location', SCHEMAS, file]),
  );

const optionKeys = (): Set<string> =>
  new Set(
    VARIABLES.flatMap((variable) => [
      flagOf(variable),
      ...(optionOf(variable).secret ? [`${flagOf(variable)}-file`] : []),
    ]),
  );

const valueKeys = (): Set<string> =>
  new Set(Object.keys(parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as object));

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function has<K extends string>(value: unknown, key: K): value is Record<K, unknown> {
  return isMapping(value) && key in value;
}
