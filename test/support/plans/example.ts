/** The example of docs/plan.md. */
export const EXAMPLE = `
serial: 14
channels:
  stable: { versions: ">=1.0.0 <2.0.0" }
  beta:   { versions: ">=1.0.0", prereleases: true }
  lab:    { version: 2.0.0-rc.3 }
default: stable
units:
  - { match: "lab-*", channel: lab }
  - { match: "24:6f:28:aa:bb:cc", version: 1.4.2 }
  - { where: { hardware: "rev-a" }, channel: stable }
rollouts:
  - version: 1.5.0
    channels: [stable]
    from: ">=1.4.0"
    starts: 2026-11-25T08:00:00Z
    stages:
      - { percent: 1,  for: 1d, until: { succeeded: 98%, least: 20 } }
      - { percent: 10, for: 1d }
      - { percent: 50, for: 2d }
    halt: { failed: 5%, least: 20 }
    rate: 500/h
    window: { from: "01:00", to: "05:00", zone: Europe/Berlin }
    paused: false
    downgrade: false
yanked: [1.4.3]
`;
