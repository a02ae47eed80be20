/** The tables of docs/rollout-maths.md, computed. */

const percent = (share) => {
  const value = share * 100;
  if (value > 99.95 && value < 100) return '> 99.9 %';
  if (value < 0.05 && value > 0) return '< 0.1 %';
  return `${value.toFixed(1)} %`;
};

/** Probability that a rollout has halted after `installs` reports, when each fails with `rate`: looked at after each report. */
export function haltedBy(installs, rate, { share, least }) {
  // alive[f]: the probability of f failures without a halt.
  let alive = [1];
  for (let n = 1; n <= installs; n++) {
    const next = new Array(n + 1).fill(0);
    for (const [failures, probability] of alive.entries()) {
      next[failures] += probability * (1 - rate);
      next[failures + 1] += probability * rate;
    }
    alive = next.map((probability, failures) => (n >= least && failures / n > share ? 0 : probability));
  }
  return 1 - alive.reduce((sum, probability) => sum + probability, 0);
}

/** Probability that at least `share` of `installs` succeed. */
export function passes(installs, rate, share) {
  let term = (1 - rate) ** installs;
  let sum = 0;
  for (let failures = 0; failures <= installs; failures++) {
    if ((installs - failures) / installs >= share) sum += term;
    term *= ((installs - failures) / (failures + 1)) * (rate / (1 - rate));
  }
  return Math.min(sum, 1);
}

/** Number of installs after which at least one failure was seen with 95 %. */
export const firstSeen = (rate) => Math.ceil(Math.log(0.05) / Math.log(1 - rate));

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const RATES = [0.005, 0.01, 0.02, 0.05, 0.08, 0.15, 0.3];

const tables = {
  stages: () =>
    table(
      ['units', 'stage', 'units in it, on average', '99 of 100 rollouts have'],
      [100, 1_000, 10_000, 100_000].flatMap((units) =>
        [1, 10, 50].map((stage) => {
          const mean = (units * stage) / 100;
          const deviation = 2.576 * Math.sqrt(mean * (1 - stage / 100));
          return [
            units,
            `${stage} %`,
            mean,
            `${Math.max(0, Math.round(mean - deviation))} to ${Math.round(mean + deviation)}`,
          ];
        }),
      ),
    ),
  halt: () => {
    const installs = [20, 50, 100, 200, 500, 1_000];
    return table(
      ['failing', ...installs.map((n) => `${n} installs`)],
      RATES.map((rate) => [
        percent(rate),
        ...installs.map((n) => percent(haltedBy(n, rate, { share: 0.05, least: 20 }))),
      ]),
    );
  },
  least: () => {
    const leasts = [10, 20, 50, 100, 200];
    return table(
      ['failing', ...leasts.map((least) => `\`least: ${least}\``)],
      RATES.map((rate) => [
        percent(rate),
        ...leasts.map((least) => percent(haltedBy(1_000, rate, { share: 0.05, least }))),
      ]),
    );
  },
  until: () => {
    const installs = [20, 50, 100, 500, 1_000];
    return table(
      ['failing', ...installs.map((n) => `${n} installs`)],
      RATES.map((rate) => [percent(rate), ...installs.map((n) => percent(passes(n, rate, 0.98)))]),
    );
  },
  first: () =>
    table(
      ['failing', 'installs'],
      [0.001, 0.005, 0.01, 0.02, 0.05, 0.1].map((rate) => [percent(rate), firstSeen(rate)]),
    ),
};

/** Returns the page with its tables computed anew. */
export function mathsPage(page) {
  return page.replaceAll(
    /(<!-- table (\w+), computed by scripts\/rollout-maths\.mjs -->\n)[^]*?(<!-- end -->)/g,
    (_all, begin, name, end) => `${begin}\n${tables[name]()}\n\n${end}`,
  );
}
