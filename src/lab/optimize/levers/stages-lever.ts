import type { StageConfig } from '../../../settings/config/stages.ts';

/** What the lever changes of a second stage. */
interface StageChoice extends Pick<StageConfig, 'name' | 'per' | 'again'> {
  readonly model: string;
}

/** Settings of a model file that do not apply to another file. */
export const FILE_SETTINGS = ['family', 'labels', 'colours', 'range', 'resize'] as const;
/** With `per: track`, times after which an object is looked at again. */
const AGAIN = [undefined, '1s', '2s', '5s'] as const;
const PER = ['track', 'bestOfTrack', 'frame'] as const;

/** All second stages as one value, so that they are searched together: `name model per again`, apart by semicolons; empty without any. */
export function stagesValue(stages: readonly StageConfig[]): string {
  return textOf(stages.map(({ name, model, per, again }) => ({ name, model: model.name, per, again })));
}

/** Values in which one second stage looks at another pace, or by another model for the same attributes. */
export function otherStages(value: string, models: ReadonlyMap<string, readonly string[]> = new Map()): string[] {
  const choices = choicesIn(value);
  return choices.flatMap((choice, i) =>
    othersOf(choice, models.get(choice.name) ?? []).map((other) => textOf(choices.with(i, other))),
  );
}

/** What to write into a pipeline with these second stages; undefined removes a setting. */
export function stageSettings(stages: readonly StageConfig[], value: string): (readonly [string, unknown])[] {
  return choicesIn(value).flatMap(({ model, per, again }, i) => {
    const own = stages[i]!;
    const settings: [string, unknown, unknown][] = [
      ['per', own.per, per],
      ['again', own.again, again],
      ['model.name', own.model.name, model],
      ...FILE_SETTINGS.map((key): [string, unknown, unknown] => {
        const now = own.model[key];
        return [`model.${key}`, now, own.model.name === model ? now : undefined];
      }),
    ];
    return settings
      .filter(([, now, next]) => now !== next)
      .map(([key, , next]) => [`stages.${i}.${key}`, next] as const);
  });
}

function othersOf(choice: StageChoice, models: readonly string[]): StageChoice[] {
  const paces = PER.flatMap((per) =>
    (per === 'track' ? AGAIN : [undefined]).map((again) => ({ ...choice, per, again })),
  );
  return [...paces, ...models.map((model) => ({ ...choice, model }))];
}

function textOf(choices: readonly StageChoice[]): string {
  const parts = choices.map(({ name, model, per, again }) =>
    [name, encodeURI(model), per, ...(again === undefined ? [] : [again])].join(' '),
  );
  return parts.join('; ');
}

function choicesIn(text: string): StageChoice[] {
  if (text === '') return [];
  return text.split('; ').map((part) => {
    const [name, model, per, again] = part.split(' ');
    return { name: name!, model: decodeURI(model!), per: per as StageChoice['per'], again };
  });
}
