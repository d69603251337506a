/** The right of one host to run one stream. Checked for every frame before it is published. */
export interface StreamLease {
  readonly fence: number;
  /** False from the moment that another host may have the lease. Reads the monotonic clock, so it is right after a suspension. */
  isValid(): boolean;
}
