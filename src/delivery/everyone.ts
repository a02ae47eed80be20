import ipaddr from 'ipaddr.js';

interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

const BITS = 128;
/** Every address that a client on the internet can have: IPv4 without reserved networks at its ends, and IPv6. */
const EVERYONE = [rangeOf('::ffff:1.0.0.0', '::ffff:223.255.255.255'), rangeOf('2000::', '3fff:ffff::')];

/**
 * Returns whether the networks of TRUST_PROXY, alone or together, contain every client of IPv4 or IPv6. Every client
 * could then forge the headers of a proxy.
 */
export function containsEveryone(networks: readonly string[] = []): boolean {
  const ranges = networks.flatMap(rangesIn).sort((one, other) => (one.first < other.first ? -1 : 1));
  return EVERYONE.some(({ first, last }) => {
    let next = first;
    for (const range of ranges) if (range.first <= next && range.last >= next) next = range.last + 1n;
    return next > last;
  });
}

/**
 * Returns the addresses of an address or a network, of which those of IPv4 are written as IPv6. Returns none for text
 * that is neither, which ClientAddress refuses.
 */
function rangesIn(network: string): Range[] {
  const [address = '', length] = network.split('/');
  if (!ipaddr.isValid(address) || !/^\d{1,3}$/.test(length ?? '0')) return [];
  const isIPv4 = !address.includes(':');
  const bits = length === undefined ? BITS : Number(length) + (isIPv4 ? 96 : 0);
  if (bits > BITS) return [];
  const rest = (1n << BigInt(BITS - bits)) - 1n;
  const first = numberOf(isIPv4 ? `::ffff:${address}` : address) & ~rest;
  return [{ first, last: first | rest }];
}

function rangeOf(first: string, last: string): Range {
  return { first: numberOf(first), last: numberOf(last) };
}

function numberOf(address: string): bigint {
  const bytes = ipaddr.parse(address).toByteArray();
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}
