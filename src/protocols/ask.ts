/** Who a request is for. One product, such as `esp32`, has many units. */
export interface Identity {
  /** Name of the repository, without the prefix: the value of `?device=`. */
  readonly product: string;
  /** One physical device: a serial number, a MAC address or another text of 1 to 128 printable characters. */
  readonly unit?: string | undefined;
}

/** What a client asks for, and what it says of itself. Nothing of it is verified, except by an authenticator. */
export interface Ask extends Identity {
  /** The version that the unit runs. */
  readonly running?: string | undefined;
  /** The hardware of the unit, such as the model of its board. */
  readonly hardware?: string | undefined;
  /** The channel that the unit wants updates of. */
  readonly channel?: string | undefined;
}
