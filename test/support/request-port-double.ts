import type { Picture } from '../../src/base/core/picture.ts';
import type { DetectedPicture, DetectOptions, RequestPort } from '../../src/serve/gateway/requests/request-port.ts';
import { requestsConfig } from '../../src/settings/config/requests.ts';

type Asked = Exclude<Picture, string>;

/** The smallest start of a JPEG: what the gateway looks at. */
export const JPEG = Buffer.from('ffd8ffe000104a46', 'hex');

/** A model named `double` with the versions 1 and 2, of which 1 is active. It finds what the test says. */
export class RequestPortDouble implements RequestPort {
  readonly name = 'double';
  readonly settings;
  readonly asked: { readonly picture: Asked; readonly version: string | undefined; readonly signal: AbortSignal }[] =
    [];
  /** What a request waits for. */
  answer: (picture: Asked, options: DetectOptions) => Promise<Partial<DetectedPicture>> = async () => ({});

  constructor(settings: Partial<RequestPort['settings']> = {}) {
    this.settings = { ...requestsConfig.parse({}), ...settings };
  }

  versions() {
    return [
      { version: '1', isActive: true },
      { version: '2', isActive: false },
    ];
  }

  async detect(picture: Asked, options: DetectOptions): Promise<DetectedPicture> {
    const { version, signal } = options;
    this.asked.push({ picture, version, signal });
    const found = await this.answer(picture, options);
    return {
      version: version ?? '1',
      width: 64,
      height: 48,
      warnings: [],
      isCached: false,
      detections: [
        { classId: 0, label: 'person', score: 0.9, box: [1, 2, 3, 4] },
        { classId: 2, label: 'car', score: 0.5, box: [5.25, 6, 7, 8] },
      ],
      ...found,
    };
  }

  /** Answers nothing until the request is ended. */
  hang(): void {
    this.answer = (_picture, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }
}
