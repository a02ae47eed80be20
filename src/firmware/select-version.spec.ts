import { describe, expect, it } from '@jest/globals';
import { newestFirst, versionOf } from './select-version.js';

const order = (tags: string[], prereleases = true): string[] =>
  newestFirst(tags, { prereleases }).map(({ tag }) => tag);

describe('versionOf', () => {
  it.each([
    ['1.2.3', '1.2.3'],
    ['v1.2.3', '1.2.3'],
    ['1.2.0_build.5', '1.2.0+build.5'],
    ['v2.0.0-rc.1_20261124', '2.0.0-rc.1+20261124'],
    ['0.0.0', '0.0.0'],
  ])('reads %s as %s', (tag, version) => {
    expect(versionOf(tag)).toBe(version);
  });

  it.each([
    'latest',
    'dev',
    '1',
    '1.2',
    '1.2.3.4',
    '01.2.3',
    '=1.2.3',
    'V1.2.3',
    'vv1.2.3',
    '1.2.3_a_b',
    '1.2.3-',
    'sha256-abc.sig',
    '99999999999999999999.0.0',
    '',
  ])('ignores %s', (tag) => {
    expect(versionOf(tag)).toBeUndefined();
  });
});

describe('newestFirst', () => {
  it('orders by precedence, pre-releases below their release', () => {
    expect(order(['1.0.0', '1.10.0', '1.9.0', '2.0.0-rc.1', '2.0.0-rc.10', '2.0.0-rc.2', 'latest'])).toEqual([
      '2.0.0-rc.10',
      '2.0.0-rc.2',
      '2.0.0-rc.1',
      '1.10.0',
      '1.9.0',
      '1.0.0',
    ]);
  });

  it('takes build metadata as tie-break, its numeric parts as numbers', () => {
    expect(order(['1.2.0_build.5', 'v1.2.0', '1.2.0_build.10', '1.2.0_build.9'])).toEqual([
      '1.2.0_build.10',
      '1.2.0_build.9',
      '1.2.0_build.5',
      'v1.2.0',
    ]);
  });

  it('leaves pre-releases out when told to', () => {
    expect(order(['2.0.0-rc.1', 'v1.2.0', '1.2.0_build.5'], false)).toEqual(['1.2.0_build.5', 'v1.2.0']);
  });

  it('leaves out what is older than the least version', () => {
    const tags = ['1.0.0', 'v1.2.0', '1.2.0-rc.1', '1.3.0', '1.2.0_build.5'];
    expect(newestFirst(tags, { prereleases: true, minVersion: '1.2.0' }).map(({ tag }) => tag)).toEqual([
      '1.3.0',
      '1.2.0_build.5',
      'v1.2.0',
    ]);
  });

  it('has one order whatever the registry lists first', () => {
    expect(order(['v1.0.0', '1.0.0'])).toEqual(order(['1.0.0', 'v1.0.0']));
  });
});
