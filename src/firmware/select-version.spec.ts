import { describe, expect, it } from '@jest/globals';
import { compareBuild, parse } from 'semver';
import { compareVersions, newestFirst, newestFirstInTurns, versionOf } from './select-version.js';

const order = (tags: string[], prereleases = true): string[] =>
  newestFirst(tags, { prereleases }).map(({ tag }) => tag);

describe('versionOf', () => {
  it.each([
    ['1.2.3', '1.2.3'],
    ['v1.2.3', '1.2.3'],
    ['1.2.0_build.5', '1.2.0+build.5'],
    ['v2.0.0-rc.1_20261124', '2.0.0-rc.1+20261124'],
    ['0.0.0', '0.0.0'],
    ['99999999999999999999.0.0', '99999999999999999999.0.0'],
    ['1.0.0-rc.20240101123456789', '1.0.0-rc.20240101123456789'],
    ['1.0.0_0020240101123456789', '1.0.0+0020240101123456789'],
    [`1.0.0-${'a.'.repeat(300)}1`, `1.0.0-${'a.'.repeat(300)}1`],
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
    '1.2.3-a..b',
    '1.2.3-01',
    '1.2.3-00000000000000000000',
    '1.2.3_',
    '1.2.3_a..b',
    '1.2.3-ä',
    '1.2.3\n',
    ' 1.2.3',
    'sha256-abc.sig',
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

describe('numbers of any size', () => {
  it.each([
    ['pre-releases', ['1.0.0-rc.9007199254740992', '1.0.0-rc.9007199254740993', '1.0.0-rc.20240101123456789']],
    [
      'of different lengths',
      [
        '1.0.0-9',
        '1.0.0-99999999999999',
        '1.0.0-100000000000000',
        '1.0.0-9999999999999999',
        '1.0.0-10000000000000000000000',
      ],
    ],
    ['below words', ['1.0.0-20240101123456789', '1.0.0-20240101123456789a', '1.0.0-a']],
    ['patches', ['1.0.20240101123456789', '1.0.20240101123456790', '1.1.0']],
    ['majors', ['9007199254740991.0.0', '9007199254740992.0.0', '9007199254740993.0.0']],
    ['a pre-release of a large version', ['1.0.20240101123456789-rc.1', '1.0.20240101123456789']],
    ['build metadata', ['1.0.0', '1.0.0_20240101123456788', '1.0.0_20240101123456789', '1.0.0_20240101123456789.1']],
    [
      'build metadata with zeros in front',
      ['1.0.0_0002', '1.0.0_10', '1.0.0_000000000000000000000000011', '1.0.0_20240101123456789', '1.0.0_a'],
    ],
  ])('%s', (_name, oldestFirst) => {
    const newest = [...oldestFirst].reverse();
    expect(order(oldestFirst)).toEqual(newest);
    expect(order(newest)).toEqual(newest);
    for (let i = 1; i < newest.length; i++) {
      const [newer, older] = [versionOf(newest[i - 1] ?? '') ?? '', versionOf(newest[i] ?? '') ?? ''];
      expect(compareVersions(newer, older)).toBeGreaterThan(0);
      expect(compareVersions(older, newer)).toBeLessThan(0);
      expect(compareVersions(older, older)).toBe(0);
    }
  });

  it('count for the least version', () => {
    const minVersion = '1.0.20240101123456789';
    const tags = ['1.0.20240101123456788', '1.0.20240101123456789-rc.1', 'v1.0.20240101123456789', '1.1.0'];
    expect(newestFirst(tags, { prereleases: true, minVersion }).map(({ tag }) => tag)).toEqual([
      '1.1.0',
      'v1.0.20240101123456789',
    ]);
  });
});

describe('agrees with the semver package where that has an answer', () => {
  const parts = ['0', '1', '9', '10', '01', 'a', 'B', '-', 'a1', '1a', '-1', 'rc'];
  let seed = 1;
  const some = (): string => parts[(seed = (seed * 48_271) % 2_147_483_647) % parts.length] ?? '';
  const several = (): string => Array.from({ length: (seed % 3) + 1 }, some).join('.');
  const versions = Array.from({ length: 400 }, () => {
    const core = seed % 4 ? `1.${seed % 2}.${seed % 3}` : [some(), some(), some()].join('.');
    return `${core}${seed % 2 ? `-${several()}` : ''}${seed % 3 ? `+${several()}` : ''}`;
  }).concat(['1.0.0-a+b', '1.0.0-a', '1.0.0', '1.0.0+1', '1.0.0+01', '1.0.0-0', '1.0.0--']);

  it('on what is a version', () => {
    for (const one of versions)
      expect([one, versionOf(one.replace('+', '_')) !== undefined]).toEqual([one, parse(one) !== null]);
  });

  it('on the order of any two', () => {
    const valid = versions.filter((one) => parse(one) !== null);
    expect(valid.length).toBeGreaterThan(30);
    const wrong: string[] = [];
    for (const a of valid)
      for (const b of valid) if (Math.sign(compareVersions(a, b)) !== compareBuild(a, b)) wrong.push(`${a} and ${b}`);
    expect(wrong).toEqual([]);
  });
});

describe('a hundred thousand tags', () => {
  const tags = Array.from({ length: 100_000 }, (_v, i) => {
    const n = (i * 7_919) % 100_000;
    return n % 10 === 0 ? `latest-${n}` : `${n % 7}.${n % 101}.${n}${n % 3 ? '' : `-rc.${n}`}${n % 5 ? '' : `_b${n}`}`;
  });

  it('come in the same order when others have their turn meanwhile', async () => {
    const options = { prereleases: true, minVersion: '1.0.0' };
    const [inTurns, atOnce] = [await newestFirstInTurns(tags, options), newestFirst(tags, options)];
    expect(inTurns.map(({ tag }) => tag).join('\n') === atOnce.map(({ tag }) => tag).join('\n')).toBe(true);
    for (const length of [0, 1, 511, 512, 513, 1025])
      expect(await newestFirstInTurns(tags.slice(0, length), options)).toEqual(
        newestFirst(tags.slice(0, length), options),
      );
  });
});
