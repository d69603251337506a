/** What an OpenVINO library reports about itself and this machine. Plain data: crosses processes. */
export interface OpenvinoFacts {
  /** Build of the library, as in `2026.4.1-22982-1b0c4d6a5f3-releases/2026/4`. */
  readonly version: string;
  /** The devices that it finds. */
  readonly devices: readonly OpenvinoDevice[];
}

export interface OpenvinoDevice {
  /** OpenVINO's name: `CPU`, `GPU.0`, `NPU`. */
  readonly name: string;
  /** The vendor's name. */
  readonly fullName: string;
  /** `OPTIMIZATION_CAPABILITIES`: `FP32`, `BF16`, `FP16`, `INT8` and others; listed formats are computed natively. */
  readonly capabilities: readonly string[];
}

/** What to do where the library is missing. */
export const OPENVINO_REMEDY = 'Set it up with: sightline setup openvino, or name its folder in OPENVINO_DIR';
