type Koffi = typeof import('koffi');
type Type = ReturnType<Koffi['pointer']> | ReturnType<Koffi['out']> | string;

/** The structs of the C API that are passed by value or filled in by a call. */
export interface NativeTypes {
  /** `ov_dimension_t`: equal bounds are a fixed size, others a range. */
  readonly dimension: ReturnType<Koffi['struct']>;
  readonly shape: ReturnType<Koffi['struct']>;
  readonly partialShape: ReturnType<Koffi['struct']>;
  /** Output parameters: a handle, a string, a count, an element type, or one of the structs. */
  readonly out: {
    readonly handle: Type;
    readonly size: Type;
    readonly int: Type;
    readonly shape: Type;
    readonly partialShape: Type;
    readonly version: Type;
    readonly devices: Type;
  };
  /** The structs above as parameters of the functions that free them. */
  readonly given: { readonly shape: Type; readonly partialShape: Type; readonly version: Type; readonly devices: Type };
}

export type NativeCall = (...args: unknown[]) => number;

const HANDLE = 'void *';

/** Declares the structs. They are anonymous because koffi keeps names for the life of a thread. */
export function nativeTypes(koffi: Koffi): NativeTypes {
  const dimension = koffi.struct({ min: 'int64_t', max: 'int64_t' });
  const shape = koffi.struct({ rank: 'int64_t', dims: 'int64_t *' });
  const partialShape = koffi.struct({ rank: dimension, dims: koffi.pointer(dimension) });
  const version = koffi.struct({ buildNumber: HANDLE, description: HANDLE });
  const devices = koffi.struct({ devices: HANDLE, size: 'size_t' });
  const out = (type: Type): Type => koffi.out(koffi.pointer(type as string));
  const given = (type: Type): Type => koffi.pointer(type as string);
  return {
    dimension,
    shape,
    partialShape,
    out: {
      handle: out(HANDLE),
      size: out('size_t'),
      int: out('int'),
      shape: out(shape),
      partialShape: out(partialShape),
      version: out(version),
      devices: out(devices),
    },
    given: {
      shape: given(shape),
      partialShape: given(partialShape),
      version: given(version),
      devices: given(devices),
    },
  };
}

type Parameters = (types: NativeTypes) => Type[];

/** Functions that return an `ov_status_e`, with their parameters, as declared in `openvino/c/*.h`. */
export const SIGNATURES = {
  ov_get_openvino_version: ({ out }) => [out.version],
  ov_core_create: ({ out }) => [out.handle],
  ov_core_get_available_devices: ({ out }) => [HANDLE, out.devices],
  /** Core, device, key, value. */
  ov_core_get_property: ({ out }) => [HANDLE, 'str', 'str', out.handle],
  /** Core, path, path of the weights of an IR (null for ONNX), model. */
  ov_core_read_model: ({ out }) => [HANDLE, 'str', 'str', out.handle],
  /** Core, model, device, number of strings that follow, compiled model, then key and value of each property. */
  ov_core_compile_model: ({ out }) => [HANDLE, HANDLE, 'str', 'size_t', out.handle, '...'],
  ov_model_const_input_by_name: ({ out }) => [HANDLE, 'str', out.handle],
  ov_model_reshape_input_by_name: ({ partialShape }) => [HANDLE, 'str', partialShape],
  ov_compiled_model_get_property: ({ out }) => [HANDLE, 'str', out.handle],
  ov_compiled_model_inputs_size: ({ out }) => [HANDLE, out.size],
  ov_compiled_model_output_by_name: ({ out }) => [HANDLE, 'str', out.handle],
  ov_compiled_model_create_infer_request: ({ out }) => [HANDLE, out.handle],
  ov_port_get_element_type: ({ out }) => [HANDLE, out.int],
  ov_port_get_partial_shape: ({ out }) => [HANDLE, out.partialShape],
  ov_infer_request_set_tensor: () => [HANDLE, 'str', HANDLE],
  ov_infer_request_get_tensor: ({ out }) => [HANDLE, 'str', out.handle],
  ov_infer_request_infer: () => [HANDLE],
  /** Element type, shape, memory, tensor. */
  ov_tensor_create_from_host_ptr: ({ shape, out }) => ['int', shape, HANDLE, out.handle],
  ov_tensor_get_shape: ({ out }) => [HANDLE, out.shape],
  ov_tensor_get_element_type: ({ out }) => [HANDLE, out.int],
  ov_tensor_data: ({ out }) => [HANDLE, out.handle],
  ov_shape_free: ({ given }) => [given.shape],
} as const satisfies Record<string, Parameters>;

export type StatusFunction = keyof typeof SIGNATURES;

/** Functions that free what a handle or a filled-in struct points to, and return nothing. */
export const FREE_SIGNATURES = {
  ov_free: () => [HANDLE],
  ov_core_free: () => [HANDLE],
  ov_model_free: () => [HANDLE],
  ov_compiled_model_free: () => [HANDLE],
  ov_infer_request_free: () => [HANDLE],
  ov_tensor_free: () => [HANDLE],
  ov_output_const_port_free: () => [HANDLE],
  ov_version_free: ({ given }) => [given.version],
  ov_available_devices_free: ({ given }) => [given.devices],
  ov_partial_shape_free: ({ given }) => [given.partialShape],
} as const satisfies Record<string, Parameters>;

export type FreeFunction = keyof typeof FREE_SIGNATURES;
