import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  choiceText,
  comparisonText,
  type EngineChoice,
  EngineChoices,
} from '../../../../src/network/store/engine-choices.ts';

const choice: EngineChoice = {
  model: 'centernet',
  inputSize: '512x512',
  precision: 'auto',
  cpu: 'Xeon',
  measured: [
    { engine: 'openvino', precision: 'bf16', frameMs: 18.94 },
    { engine: 'onnx', precision: 'f32', frameMs: 39.1 },
  ],
};

describe('EngineChoices', () => {
  let cacheDir: string;
  let choices: EngineChoices;

  beforeEach(() => {
    cacheDir = mkdtempSync(join(tmpdir(), 'sightline-choices-'));
    choices = new EngineChoices(cacheDir);
  });

  afterEach(() => rmSync(cacheDir, { recursive: true }));

  it('finds a choice under its key, and nothing under another key', async () => {
    await choices.keep('a', choice);
    expect(await choices.find('a')).toEqual(choice);
    expect(await choices.find('b')).toBeNull();
    expect(await choices.list()).toEqual([choice]);
  });

  it('lists nothing in a new cache', async () => {
    expect(await choices.list()).toEqual([]);
  });

  it('lists them by model and size, and of equal ones only the newest', async () => {
    const keep = async (key: string, more: Partial<EngineChoice>, writtenS: number): Promise<void> => {
      await choices.keep(key, { ...choice, ...more });
      utimesSync(join(cacheDir, 'engine-choices', `${key}.json`), writtenS, writtenS);
    };
    const [openvino, onnx] = choice.measured;
    const times = (bf16Ms: number): EngineChoice['measured'] => [{ ...openvino!, frameMs: bf16Ms }, onnx!];
    await keep('1', { model: 'yolox-s', inputSize: '640x640' }, 400);
    await keep('2', { inputSize: '1280x720' }, 400);
    await keep('3', { measured: times(20) }, 300);
    await keep('4', { measured: times(10) }, 200);
    // The same engines, and the other one was faster then.
    await keep('5', { measured: times(90).reverse() }, 100);
    await keep('6', { inputSize: '96x64' }, 500);
    await keep('7', { precision: 'f32', measured: [{ ...openvino!, precision: 'f32' }, onnx!] }, 100);
    expect((await choices.list()).map((each) => choiceText(each))).toEqual([
      'centernet 96x64: openvino bf16 18.9 ms, onnx f32 39.1 ms a frame',
      'centernet 512x512: openvino bf16 20.0 ms, onnx f32 39.1 ms a frame',
      'centernet 512x512: openvino f32 18.9 ms, onnx f32 39.1 ms a frame',
      'centernet 1280x720: openvino bf16 18.9 ms, onnx f32 39.1 ms a frame',
      'yolox-s 640x640: openvino bf16 18.9 ms, onnx f32 39.1 ms a frame',
    ]);
  });

  it.each(['{', '{"measured": 3}', ''])('treats a damaged file (%j) as missing', async (text) => {
    await choices.keep('a', choice);
    const [name] = readdirSync(join(cacheDir, 'engine-choices'));
    writeFileSync(join(cacheDir, 'engine-choices', name!), text);
    expect(await choices.find('a')).toBeNull();
    expect(await choices.list()).toEqual([]);
  });

  it('has a different key for another artefact, library, processor or precision', () => {
    const facts = [['hash-a', 'hash-b'], ['2026.4.1', '1.30.0'], 'Xeon', 'auto'];
    const others = facts.map((_, at) => facts.map((fact, i) => (i === at ? 'other' : fact)));
    const keys = [facts, ...others].map((each) => EngineChoices.keyOf(each));
    expect(new Set(keys).size).toBe(5);
    expect(EngineChoices.keyOf([...facts])).toBe(keys[0]);
  });

  it('is formatted in one line', () => {
    expect(choiceText(choice)).toBe('centernet 512x512: openvino bf16 18.9 ms, onnx f32 39.1 ms a frame');
    expect(comparisonText(choice)).toBe('openvino bf16 18.9 ms, onnx f32 39.1 ms');
  });
});
