const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

const MONTH = `(?<month>${MONTHS.join('|')})`;
const TIME = '(?<hour>[01]\\d|2[0-3]):(?<minute>[0-5]\\d):(?<second>[0-5]\\d|60)';
/**
 * The three date formats that a recipient has to accept (RFC 9110, section 5.6.7): IMF-fixdate, RFC 850 and asctime.
 */
const FORMS = [
  new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(
    `^(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday), (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${TIME} GMT$`,
  ),
  new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/**
 * Returns the time of an HTTP-date in milliseconds since the epoch, or undefined if the text is not an HTTP-date.
 * `Date.parse` is not used, because it accepts other texts: it reads `1` as a day in 2001.
 */
export function parseHttpDate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  for (const form of FORMS) {
    const parts = form.exec(text.trim())?.groups;
    if (parts) return timeOf(parts);
  }
  return undefined;
}

/**
 * Returns the milliseconds to wait for a `Retry-After` header (RFC 9110, section 10.2.3: seconds or a date), or
 * undefined if the header is not valid. Returns 0 for a date in the past.
 */
export function retryAfterMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = parseHttpDate(value);
  return date === undefined ? undefined : Math.max(0, date - Date.now());
}

function timeOf(parts: Record<string, string | undefined>): number | undefined {
  const day = Number(parts.day);
  const month = MONTHS.indexOf(parts.month as (typeof MONTHS)[number]);
  const time = Date.UTC(
    fullYear(parts.year ?? ''),
    month,
    day,
    Number(parts.hour),
    Number(parts.minute),
    Number(parts.second),
  );
  // Date would turn the 31st of June into the 1st of July.
  const overflows = Number(parts.second) < 60 && new Date(time).getUTCDate() !== day;
  return overflows || day === 0 ? undefined : time;
}

/**
 * Returns the full year of a two-digit year. A year that appears to be more than 50 years in the future is in the past
 * (RFC 9110, section 5.6.7).
 */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length > 2) return year;
  const now = new Date().getUTCFullYear();
  const guess = now - (now % 100) + year;
  return guess > now + 50 ? guess - 100 : guess;
}
