/** @import { OfferedCamera, OfferedStream } from './lib/client/index.js' */

import { errorMessage } from './dialogs.js';
import { byId, element, runBusy } from './element.js';
import { formatNumber } from './format.js';
import { gateway } from './gateway.js';
import { SourceTester } from './source-test.js';

const MOST_ID = 64;

/** Sets up how the dialog for a new camera tests its address, and finds cameras that fill it in. */
export function setUpAddSource() {
  const source = byId('add-source', HTMLInputElement);
  /** What stands for the login of a camera that was found, and the login. */
  let hidden = { shown: '', real: '' };
  const withLogin = (/** @type {string} */ address) => {
    const rest = address.slice(hidden.shown.length);
    const isSame = hidden.shown !== '' && address.startsWith(hidden.shown) && /^(?:[/?#]|$)/.test(rest);
    return isSame ? `${hidden.real}${rest}` : address;
  };
  const test = new SourceTester(source, () => ({}), withLogin);
  byId('add-form').addEventListener('formdata', ({ formData }) =>
    formData.set('source', withLogin(String(formData.get('source')).trim())),
  );
  byId('add-source-row').append(test.button);
  byId('add-source-row').after(test.result);
  const [user, password] = [byId('find-user', HTMLInputElement), byId('find-password', HTMLInputElement)];
  const [list, status] = [byId('found'), byId('find-status')];
  const button = byId('find-start', HTMLButtonElement);
  const search = async () => {
    list.replaceChildren();
    status.textContent = 'Searching, for 25 seconds at most …';
    const login = user.value === '' ? undefined : { user: user.value, password: password.value };
    try {
      const cameras = await gateway.discover(login);
      status.textContent =
        cameras.length === 0
          ? 'No ONVIF camera answered. Is it on the network of the host, and ONVIF turned on in its settings?'
          : `${formatNumber(cameras.length, 'camera')} found.`;
      list.replaceChildren(...cameras.map((camera) => cameraNode(camera, (stream) => choose(camera, stream, login))));
    } catch (error) {
      status.textContent = errorMessage(error);
    }
  };
  /** @param {OfferedCamera} camera @param {OfferedStream} stream @param {{ user: string, password: string } | undefined} login */
  const choose = ({ name, address }, stream, login) => {
    const [userName, secret] = [login?.user ?? '', login?.password ?? ''].map(encodeURIComponent);
    const [, scheme = '', host = '', path = ''] = /^([^:]+:\/\/)([^/?#]*)(.*)$/.exec(stream.source) ?? [];
    hidden =
      login === undefined
        ? { shown: '', real: '' }
        : { shown: `${scheme}***@${host}`, real: `${scheme}${userName}:${secret}@${host}` };
    source.value = login === undefined ? stream.source : `${hidden.shown}${path}`;
    source.dispatchEvent(new Event('input', { bubbles: true }));
    const id = byId('add-id', HTMLInputElement);
    if (id.value === '') id.value = idOf(name) || idOf(address);
    id.focus();
  };
  button.addEventListener('click', () => runBusy(button, search));
  for (const input of [user, password])
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      // It would add the camera.
      event.preventDefault();
      button.click();
    });
  byId('add-dialog').addEventListener('close', () => {
    test.clear();
    list.replaceChildren();
    [status.textContent, password.value] = ['', ''];
    hidden = { shown: '', real: '' };
  });
}

/** @param {string} name */
function idOf(name) {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, MOST_ID);
}

/** @param {OfferedCamera} camera @param {(stream: OfferedStream) => void} onChosen */
function cameraNode({ address, name, hardware, problem, streams }, onChosen) {
  const title = element('b', {}, [name, hardware].filter(Boolean).join(', ') || address);
  const rows = streams.map((stream) => {
    const { width, height, fps, codec } = stream;
    const size = width === null || height === null ? '' : `${width} x ${height}`;
    const facts = [codec, size, fps === null ? '' : `${fps} frames/s`].filter(Boolean).join(', ');
    const button = element('button', { type: 'button', class: 'button button-small' }, `${stream.name}: ${facts}`);
    button.addEventListener('click', () => onChosen(stream));
    return button;
  });
  const none = problem ?? 'It offers no video.';
  return element(
    'li',
    {},
    title,
    ` ${address}`,
    ...(rows.length === 0 ? [element('p', { class: 'hint' }, none)] : rows),
  );
}
