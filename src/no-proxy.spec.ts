import { describe, expect, it } from '@jest/globals';
import { NoProxy } from './no-proxy.js';

describe('NO_PROXY', () => {
  it.each([
    ['*', 'http://anything.example'],
    ['a.example, *', 'http://b.example'],
    ['registry.example', 'https://registry.example'],
    ['Registry.Example.', 'https://REGISTRY.example'],
    ['example', 'https://registry.example:5000'],
    ['.example', 'https://registry.example'],
    ['*.example', 'https://registry.example'],
    ['registry.example:5000', 'https://registry.example:5000'],
    ['registry.example:443', 'https://registry.example'],
    ['registry.example:80', 'http://registry.example'],
    ['a b,c', 'http://c'],
    ['10.0.0.0/8', 'http://10.255.0.1:5000'],
    ['192.168.0.0/23', 'http://192.168.1.9'],
    ['10.1.2.3', 'http://10.1.2.3'],
    ['10.1.2.3:5000', 'http://10.1.2.3:5000'],
    ['fd00::/8', 'http://[fd12::1]:5000'],
    ['[fd00::]/8', 'http://[fd12::1]'],
    ['::1', 'http://[::1]'],
    ['[::1]', 'http://[0:0::1]:5000'],
    ['[::1]:5000', 'http://[::1]:5000'],
    ['localhost', 'http://localhost:5000'],
    ['0.0.0.0/0', 'http://8.8.8.8'],
  ])('%s covers %s', (value, url) => {
    expect(new NoProxy(value).covers(new URL(url))).toBe(true);
  });

  it.each([
    ['', 'http://a.example'],
    [' , ', 'http://a.example'],
    ['registry.example', 'https://myregistry.example'],
    ['registry.example', 'https://registry.example.org'],
    ['registry.example:5000', 'https://registry.example'],
    ['registry.example:443', 'http://registry.example'],
    ['10.0.0.0/8', 'http://11.0.0.1'],
    ['10.0.0.0/8', 'http://10.example'],
    ['10.0.0.0/8', 'http://[fd00::1]'],
    ['10.0.0.0/99', 'http://10.0.0.1'],
    ['0.0.0.1', 'http://10.0.0.1'],
    ['fd00::/8', 'http://[fe00::1]'],
    ['[::1]:5000', 'http://[::1]:5001'],
    ['.', 'http://a.example'],
    ['10.0.0.*', 'http://10.0.0.1'],
  ])('%j does not cover %s', (value, url) => {
    expect(new NoProxy(value).covers(new URL(url))).toBe(false);
  });

  it('names the entries that it cannot read, and heeds the others', () => {
    const noProxy = new NoProxy('registry.example, 10.0.0.0/99 http://a.example,10.0.0.*,b:99999,.,[::1,x y,::1');
    expect(noProxy.unreadable).toEqual(['10.0.0.0/99', 'http://a.example', '10.0.0.*', 'b:99999', '.', '[::1']);
    for (const host of ['registry.example', 'x', 'y', '[::1]'])
      expect(noProxy.covers(new URL(`http://${host}`))).toBe(true);
    expect(new NoProxy('*, a.example, 10.0.0.0/8, münchen.example').unreadable).toEqual([]);
  });
});
