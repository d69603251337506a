/** A stream that a camera on the network offers. */
export interface OfferedStream {
  /** As the camera calls it. */
  readonly name: string;
  /** As the camera says: `H264`. Empty if it does not. */
  readonly codec: string;
  /** Pixels, as the camera says; null if it does not. */
  readonly width: number | null;
  /** Pixels, as the camera says; null if it does not. */
  readonly height: number | null;
  /** Frames per second, as the camera says; null if it does not. */
  readonly fps: number | null;
  /** RTSP address without a login. */
  readonly source: string;
}

/** An ONVIF camera that answered a search. */
export interface OfferedCamera {
  /** From which it answered. */
  readonly address: string;
  /** Empty if it does not say. */
  readonly name: string;
  /** Model; empty if it does not say. */
  readonly hardware: string;
  /** Why it names no streams, such as a login that it needs; null if nothing is wrong. */
  readonly problem: string | null;
  /** In the order of the camera: mostly the largest first. */
  readonly streams: readonly OfferedStream[];
}
