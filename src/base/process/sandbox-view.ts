/** What one child needs. */
export interface Access {
  /** Files and folders that it reads. A relative path counts from the folder of this process. */
  readonly reads?: readonly string[];
  /** Folder that it writes files into; absent: it writes none. */
  readonly writes?: string | undefined;
  readonly network?: boolean;
  /** Capture devices that it opens. */
  readonly devices?: readonly string[];
  /** True if a hardware decoder is used. */
  readonly usesHardware?: boolean;
  /** Most CPU time; absent: no limit. */
  readonly cpuSeconds?: number;
}

/** What a child sees inside its sandbox. Paths are absolute; one that does not exist is left out. */
export interface SandboxView {
  /** Programs, libraries and their settings. */
  readonly programs: readonly string[];
  readonly reads: readonly string[];
  readonly devices: readonly string[];
  /** File systems of the kernel. */
  readonly kernel: readonly string[];
  readonly writes: readonly string[];
  readonly network: boolean;
  /** The working folder. */
  readonly folder: string;
}
