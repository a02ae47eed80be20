import { describe, expect, it } from '@jest/globals';
import { cpuTimeMs } from '../../../test/support/cpu.js';
import { deviceNamedIn } from './distinguished-name.js';

describe('a distinguished name', () => {
  it.each([
    // RFC 4514, and as nginx, HAProxy and OpenSSL write it.
    ['CN=esp32', 'esp32'],
    ['CN=esp32,O=Acme,C=DE', 'esp32'],
    ['O=Acme, CN=esp32 , C=DE', 'esp32'],
    ['C=DE,O=x\\,CN=victim,CN=attacker', 'attacker'],
    ['O="x/CN=victim", CN=attacker', 'attacker'],
    ['O="x, CN=victim",CN=attacker', 'attacker'],
    ['O="x\\", CN=victim",CN=attacker', 'attacker'],
    ['O=x/CN=victim,CN=attacker', 'attacker'],
    ['O=x\\"\\+CN=victim,CN=attacker', 'attacker'],
    ['CN=line-1/sensor', 'line-1/sensor'],
    ['CN="line-1/sensor"', 'line-1/sensor'],
    ['cn=esp32', 'esp32'],
    ['Cn = esp32', 'esp32'],
    ['commonName=esp32', 'esp32'],
    ['2.5.4.3=esp32', 'esp32'],
    ['OID.2.5.4.3=esp32', 'esp32'],
    ['2.5.4.3=#0c056573703332', 'esp32'],
    ['CN=#1305 6573703332'.replace(' ', ''), 'esp32'],
    ['O=Acme+CN=esp32,C=DE', 'esp32'],
    ['CN=esp32+serialNumber=7', 'esp32'],
    ['1.3.6.1.4.1.99=#0c026869,CN=esp32', 'esp32'],
    ['CN=\\65\\73\\7032', 'esp32'],
    ['CN=a\\2cb', 'a,b'],
    ['CN=a\\ ', 'a '],
    ['CN=\\#a', '#a'],
    ['CN=L\\C4\\8Di', 'Lči'],
    ['CN=a=b', 'a=b'],
    ['OU=CN=victim,CN=attacker', 'attacker'],
    ['CN=victim\\,O=x', 'victim,O=x'],
    // The old slash form, only where the value begins with one.
    ['/C=DE/O=Acme/CN=esp32', 'esp32'],
    ['/CN=line-1/sensor', 'line-1/sensor'],
    ['/CN=line-1/sensor/O=Acme', 'line-1/sensor'],
    ['/cn=esp32', 'esp32'],
    ['/O=x, CN=victim/CN=attacker', 'attacker'],
    ['/O=x\\/CN=attacker', 'attacker'],
    // No distinguished name: the name itself.
    ['esp32', 'esp32'],
    ['line-1/sensor', 'line-1/sensor'],
    [' esp32 ', 'esp32'],
  ])('%s names %s', (text, name) => {
    expect(deviceNamedIn(text)).toBe(name);
  });

  it.each([
    // Several common names.
    'cn=attacker,CN=victim',
    'CN=victim,CN=victim',
    'CN=attacker+CN=victim',
    '2.5.4.3=attacker,CN=victim',
    'commonName=attacker,CN=victim',
    '/O=x/CN=victim/CN=attacker',
    '/CN=victim/cn=attacker',
    '/O=x/2.5.4.3=a/CN=victim',
    // None.
    'O=Acme',
    '/O=Acme/OU=devices',
    'O="CN=victim"',
    'O=x/CN=victim',
    // Malformed.
    'CN="victim',
    'CN="victim"x',
    'CN=vic"tim',
    'CN=victim,',
    'CN=victim,,O=x',
    'CN=victim,O',
    'CN=victim;O=x',
    'CN=victim<',
    'CN=victim\\',
    'CN=victim\\x',
    'CN=victim,=x',
    'CN=\\ff\\fe',
    'CN=#0c0665737033',
    'CN=#zz',
    'CN=#',
    'CN=victim\u0000',
    '+CN=victim',
    ',CN=victim',
    '"CN=victim"',
    'CN=',
    '/',
    '/CN=',
    '/victim',
    '',
    '  ',
  ])('%j names nobody', (text) => {
    expect(deviceNamedIn(text)).toBeUndefined();
  });

  it('is read in a time that grows with its length only', () => {
    const tookMs = cpuTimeMs(() => {
      for (const piece of ['CN=a,', 'O="', '\\', ' ', '/CN', 'a=', '\\2c', '+'])
        for (const lead of ['O=x,', '/', '']) deviceNamedIn(lead + piece.repeat(8_000 / piece.length));
    });
    expect(tookMs).toBeLessThan(2_000);
  });
});
