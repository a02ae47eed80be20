import { describe, expect, it } from '@jest/globals';
import { blocksOf } from './page.js';

const page = (comment: string, block = '```sh\ntrue\n```'): string => `Text.\n\n${comment}\n\n${block}\n`;

describe('the marks of a block', () => {
  it.each([
    ['<!-- runs in the tests -->', { kind: 'runs', needs: [], until: undefined }],
    ['<!-- runs in the tests with cosign, registry -->', { kind: 'runs', needs: ['cosign', 'registry'] }],
    ['<!-- runs in the tests and fails -->', { kind: 'runs', until: undefined, fails: true }],
    ['<!-- runs in the tests with oras and fails -->', { kind: 'runs', needs: ['oras'], fails: true }],
    ['<!-- runs in the tests until "is ready" -->', { kind: 'runs', needs: [], until: 'is ready' }],
    ['<!-- runs in the cluster test -->', { kind: 'elsewhere', file: 'test/cluster/kubernetes.cluster-spec.ts' }],
    ['<!-- runs in test/e2e/x.e2e-spec.ts -->', { kind: 'elsewhere', file: 'test/e2e/x.e2e-spec.ts' }],
    ['<!-- not run: needs Harbor -->', { kind: 'not-run', reason: 'needs Harbor' }],
    ['<!-- not run here: needs Harbor -->', { kind: 'not-run', reason: 'needs Harbor' }],
    ['<!-- file: values.yaml -->', { kind: 'file', name: 'values.yaml' }],
    ['<!-- output -->', { kind: 'output' }],
  ])('are read: %s', (comment, mark) => {
    expect(blocksOf('x.md', page(comment))).toMatchObject([{ line: 5, language: 'sh', text: 'true\n', mark }]);
  });

  it.each(['<!-- prettier-ignore -->', 'Text.', '<!-- not run: x -->\n\nText.'])('are none: %s', (comment) => {
    expect(blocksOf('x.md', page(comment))[0]?.mark).toBeUndefined();
  });

  it.each(['<!-- run in the tests -->', '<!-- not run -->', '<!-- runs in the test -->', '<!-- file: -->'])(
    'are refused when they are misspelt: %s',
    (comment) => {
      expect(() => blocksOf('x.md', page(comment))).toThrow(/^x.md:5: unknown mark: /);
    },
  );

  it('belong to a block within a list, which loses its indentation', () => {
    const [block] = blocksOf('x.md', '1. One\n\n   <!-- output -->\n\n   ```text\n   a\n     b\n\n   c\n   ```\n');
    expect(block).toMatchObject({ line: 5, text: 'a\n  b\n\nc\n', mark: { kind: 'output' } });
  });

  it('belong to one block only, and a fence within a longer one is text', () => {
    const blocks = blocksOf('x.md', '<!-- output -->\n````md\n```sh\n```\n````\n```json\n{}\n```\n');
    expect(blocks.map(({ language, mark }) => [language, mark?.kind])).toEqual([
      ['md', 'output'],
      ['json', undefined],
    ]);
  });

  it('need a block that ends', () => {
    expect(() => blocksOf('x.md', '```sh\ntrue\n')).toThrow('x.md:1: the block has no end');
  });
});
