import { type Command, Option } from 'commander';
import { setupOpenvino } from '../network/store/openvino/setup-openvino.ts';
import { findProvided, providePackage } from '../network/store/packages/provide-package.ts';
import { setupTensorflow } from '../network/store/tensorflow/setup-tensorflow.ts';
import { toolRunner } from '../network/store/wheels/run-tool.ts';
import { type CliIo, note, print, wrongCommand } from './cli-io.ts';

interface SetupFlags {
  readonly from?: string;
  readonly gpu?: boolean;
}

const HELP = `
onnx        ONNX Runtime, from npm: 115 MB, of which 47 MB are kept. The first start fetches it too.
openvino    OpenVINO's libraries, with pip: 60 MB. Needs Python with pip.
tensorflow  TensorFlow, with pip: 270 MB, with --gpu 3.4 GB with CUDA. Builds its binding. Needs a C++ compiler, Python with pip.

With --from nothing is fetched by pip: a folder with the libraries is used where it is.
Everything goes to SIGHTLINE_CACHE_DIR. PYTHON and CXX name other programs than python3 and g++.

Examples:
  sightline setup onnx
  sightline setup openvino
  sightline setup tensorflow --gpu`;

export function addSetup(program: Command, io: CliIo): void {
  program
    .command('setup')
    .argument('<engine>', 'onnx, openvino or tensorflow')
    .option('--from <dir>', 'openvino, tensorflow: a folder with the libraries, used in place')
    .addOption(new Option('--gpu', 'tensorflow: with CUDA and cuDNN for NVIDIA GPUs').conflicts('from'))
    .addHelpText('after', HELP)
    .action((engine: string, flags: SetupFlags) => setup(engine, flags, io));
}

/** @throws SETUP_FAILED, COMMAND_INVALID */
async function setup(engine: string, { from, gpu = false }: SetupFlags, io: CliIo): Promise<void> {
  const { cacheDir, python = 'python3', compiler } = io.environment;
  const onStep = (text: string): void => note(io, `- ${text}`);
  const common = { from, cacheDir, python, onStep, run: toolRunner(io.stop) };
  if (gpu && engine !== 'tensorflow') throw wrongCommand(`--gpu is for tensorflow, received ${engine}`);
  switch (engine) {
    case 'onnx': {
      if (from !== undefined) throw wrongCommand('--from is for openvino and tensorflow, received onnx');
      await providePackage('onnxruntime-node', { cacheDir, onNotice: onStep, signal: io.stop });
      print(io, `ONNX Runtime is ready: ${findProvided('onnxruntime-node', cacheDir)}`);
      break;
    }
    case 'openvino': {
      const { version, devices } = await setupOpenvino(common);
      for (const { name, fullName } of devices) onStep(`${name}: ${fullName}`);
      print(io, `OpenVINO ${version} is ready. See: sightline doctor`);
      break;
    }
    case 'tensorflow': {
      const { tensorflow, flavour } = await setupTensorflow({ ...common, isGpu: gpu, compiler });
      print(io, `TensorFlow ${tensorflow} (${flavour}) is ready. See: sightline doctor`);
      break;
    }
    default:
      throw wrongCommand(`expected onnx, openvino or tensorflow, received ${engine}`);
  }
}
