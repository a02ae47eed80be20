/**
 * A notifier that posts new releases to a Slack channel. SLACK_URL is the URL of an incoming webhook:
 *   SLACK_URL=https://hooks.slack.com/services/… otaflux --plugin ./slack-notifier.mjs --state-dir ./state
 */
import { Notifier } from 'otaflux';

class SlackNotifier extends Notifier {
  name = 'slack';

  constructor(url) {
    super();
    this.url = url;
  }

  // If this method throws, OtaFlux calls it again later with the newest notice of the device.
  async publish({ device, release }, signal) {
    const text = release
      ? `:rocket: *${device}* is now at ${release.version} (${release.sizeBytes} bytes)`
      : `:warning: *${device}* has no release any more`;
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ text }),
      signal,
    });
    if (!response.ok) throw new Error(`the chat answered ${response.status}`);
  }
}

export default () => {
  const { SLACK_URL } = process.env;
  if (!SLACK_URL) throw new Error('SLACK_URL is missing, takes the URL of an incoming webhook');
  return { notifiers: [new SlackNotifier(SLACK_URL)] };
};
