/** Who is asked about, and when. */
export interface WhyOptions {
  readonly unit?: string;
  readonly at?: string;
  readonly running?: string;
  readonly hardware?: string;
  readonly channel?: string;
  readonly json?: boolean;
  readonly url?: string;
}
