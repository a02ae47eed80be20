import { describe, expect, it } from '@jest/globals';
import { parseYaml } from './yaml.js';

describe('parseYaml', () => {
  it.each([
    ...['0123456', '1e10', '0x1F', '0o17', '1_000', '.5', '1.0', '1.10', '+7', '-0', '.inf', '.NaN', '007', '0b11'],
    ...['true', 'TRUE', 'no', 'Off', 'null', 'Null', '~', '2024-01-01', '2024-01-01T00:00:00Z', '12:30:45', '0777'],
    ...['18446744073709551616', '1E400', '<<', '=', 'a b'],
  ])('takes %s as it is written', (written) => {
    expect(parseYaml(`key: ${written}\n`)).toEqual({ key: written });
    expect(parseYaml(`- ${written}\n`)).toEqual([written]);
    expect(parseYaml(`%YAML 1.1\n---\nkey: ${written}\n`)).toEqual({ key: written });
  });

  it('takes quoted, folded and tagged text as what it says', () => {
    const text = `a: "0123"\nb: '1e5'\nc: |\n  two\n  lines\nd: !!str 0123\ne: ""\n`;
    expect(parseYaml(text)).toEqual({ a: '0123', b: '1e5', c: 'two\nlines\n', d: '0123', e: '' });
  });

  it('leaves out what is left out', () => {
    expect(parseYaml('a:\nb: # nothing\nc: [1, ]\n')).toEqual({ a: undefined, b: undefined, c: ['1'] });
    expect(parseYaml('# nothing\n')).toBeUndefined();
  });

  it('follows anchors, and refuses one that holds itself', () => {
    expect(parseYaml('a: &x 007\nb: *x\nc: [*x]\n')).toEqual({ a: '007', b: '007', c: ['007'] });
    expect(() => parseYaml('a: &x [*x]\n')).toThrow('*x');
  });

  it.each(['a: [', 'a: 1\na: 2\n', 'a: *nowhere\n'])('refuses %p in one line', (text) => {
    let message = '';
    try {
      parseYaml(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/^[^\n]+$/);
  });
});
