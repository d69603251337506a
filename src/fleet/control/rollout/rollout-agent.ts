import { type Clock, systemClock } from '../../../base/core/clock.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import { Listeners } from '../../../base/flow/listeners.ts';
import type { EventMessage } from '../../../wire/protocol/feed.ts';
import { readObservations, readRolloutWake } from '../../../wire/protocol/fleet-bus.ts';
import type { RolloutAction, RolloutPort } from '../../../wire/protocol/ports/rollout-port.ts';
import type { RolloutVerb } from '../../../wire/protocol/rest.ts';
import type {
  Decision,
  HostObservation,
  ObservationsBody,
  Rollout,
  RolloutFigures,
  RolloutReport,
  ShadowObservation,
  Version,
  VersionReport,
} from '../../../wire/protocol/rollout-records.ts';
import type { BusMessage, FleetBus } from '../control-plane.ts';
import type { AuditLog } from './audit-log.ts';
import { isMember, membersOf } from './membership.ts';
import { type DetectorFacts, labelledVerdictOf } from './other-detector.ts';
import { RolloutController } from './rollout-controller.ts';
import { rolloutErrors } from './rollout-errors.ts';
import { RolloutFollower } from './rollout-follower.ts';
import * as machine from './rollout-machine.ts';
import type { GuardPanels } from './rollout-panels.ts';
import type { RolloutChange, RolloutReply, RolloutStore } from './rollout-store.ts';
import type { RolloutTarget } from './rollout-target.ts';
import { eventOf, reportOf } from './rollout-view.ts';
import type { StartLog } from './start-log.ts';
import { type RunningPipeline, readStartRequest, stepsOf } from './start-request.ts';
import { type VersionParts, versionReports, withVersion } from './versions.ts';

/** Observations in one message: a frame with many boxes has some kilobytes. */
const MESSAGE_OBSERVATIONS = 100;
/** Observations kept until the next beat; 200 streams with 10 shadow frames a second need 2 400. */
const MOST_OBSERVATIONS = 5_000;
/** Decisions that are kept to restore a control plane that lost its data. */
const KEPT_DECISIONS = 200;
/** If a host ends this often in a row, each time this soon after its start, the candidate is the cause. */
const MOST_SHORT_LIVES = 3;
const SHORT_LIFE_MS = 60_000;
/** After a promotion, starts are counted for this long: a later crash has another cause. A week has every hour of a camera. */
const PROMOTED_MS = 7 * 86_400_000;
/** A person's change is tried again if another one preceded it. */
const ATTEMPTS = 5;

const VERBS: Readonly<
  Record<Exclude<RolloutVerb, 'promote'>, (rollout: Rollout, actor: machine.Actor) => RolloutChange>
> = { hold: machine.hold, resume: machine.resume, abort: machine.abort, undo: machine.undo };

export interface RolloutAgentOptions {
  readonly store: RolloutStore;
  readonly bus: FleetBus;
  readonly target: RolloutTarget;
  readonly panels: GuardPanels;
  readonly audit: AuditLog;
  readonly starts: StartLog;
  readonly hostId: string;
  /** By which it is kept and announced, see `rolloutKey`. */
  readonly pipeline: string;
  readonly detector?: string | undefined;
  /** The version that the configuration names. */
  readonly initial: Version;
  /** What this host runs, by its configuration. */
  readonly running: RunningPipeline;
  /** Finds the network of a version. @throws MODEL_* */
  readonly resolve: (parts: Pick<VersionParts, 'model' | 'batch'>) => Promise<VersionParts>;
  /** What is known of the network of a version. @throws MODEL_* */
  readonly detectorOf: (model: Version['model']) => Promise<DetectorFacts>;
  /** Names of all streams of the pipeline, on all hosts. */
  readonly streams: () => readonly string[];
  /** Ids of all hosts that run the pipeline. */
  readonly hosts: () => readonly string[];
  readonly beatMs: number;
  readonly warmMs: number;
  readonly onNotice: (text: string) => void;
  readonly clock?: Clock;
  readonly incidents?: Incidents;
}

/**
 * One host's part in the roll-outs of its pipeline. With every beat it reads the record, makes its streams follow it, sends
 * what it observed, writes the audit log, and decides if it is the controller. Also does what operators ask for.
 *
 * While the control plane is unreachable, streams keep their versions. If it lost its data, hosts give it the newest record that they know.
 */
export class RolloutAgent implements RolloutPort {
  readonly #options: RolloutAgentOptions;
  readonly #clock: Clock;
  readonly #incidents: Incidents;
  readonly #controller: RolloutController;
  readonly #follower: RolloutFollower;
  readonly #events: Listeners<EventMessage>;
  readonly #shadows: Listeners<ShadowObservation>;
  readonly #unsubscribe: (() => void)[] = [];
  #rollout: Rollout | null = null;
  #figures: RolloutFigures | null = null;
  #decisions: readonly Decision[] = [];
  #nowMs = 0;
  #observations: HostObservation[] = [];
  /** Roll-out whose candidate this host does not load: it ended too often with it. */
  #refused: string | null = null;
  /** Why this host cannot run a version of a roll-out, by hash. That of the candidate is sent with every beat until it can. */
  readonly #failures = new Map<string, { readonly rollout: string; readonly text: string }>();
  #hasRead = false;
  #isUnreachable = false;
  #isClosed = false;
  /** Set while this host is the controller. */
  #stopObserving: (() => void) | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #isQueued = false;
  #stopTimer: () => void = () => {};
  #stopForgetting: () => void = () => {};

  constructor(options: RolloutAgentOptions) {
    const { target, warmMs, initial } = options;
    this.#options = options;
    this.#incidents = options.incidents ?? new Incidents(options.onNotice, options.clock);
    this.#clock = this.#incidents.clock('roll-outs', options.clock ?? systemClock);
    this.#controller = new RolloutController({ ...options, clock: this.#clock });
    this.#follower = new RolloutFollower({
      target,
      warmMs,
      initial: initial.hash,
      onFailure: (version, error) => this.#onLoadFailed(version, error),
    });
    this.#events = new Listeners('roll-out events', this.#incidents);
    this.#shadows = new Listeners('shadow frames', this.#incidents);
  }

  /** Reads the record and applies it, then beats until `close`. @throws CONTROL_UNREACHABLE */
  async start(): Promise<void> {
    const { bus, target } = this.#options;
    this.#unsubscribe.push(
      target.onObservation((observation) => this.#observe(observation)),
      bus.subscribe('rollout', null, (message) => this.#onWake(message)),
    );
    await this.#inTurn(async () => {
      await this.#read();
      await this.#noteStart();
      await this.#beat();
    });
    this.#schedule();
  }

  /** Beats once; beats that are due meanwhile are joined to one. Never rejects. */
  tick(): Promise<void> {
    if (this.#isQueued || this.#isClosed) return Promise.resolve();
    this.#isQueued = true;
    return this.#inTurn(async () => {
      this.#isQueued = false;
      await this.#beat();
    }).catch((error: unknown) => this.#onBeatFailed(error));
  }

  /** Gives the controller's lease back, so that another host goes on at once. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopTimer();
    this.#stopForgetting();
    this.#stopObserving?.();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#last.catch(() => undefined);
    const { store, hostId, audit, starts } = this.#options;
    await store.leave(hostId).catch(() => undefined);
    await starts.forget();
    await audit.close();
  }

  rollout(): RolloutReport | null {
    const rollout = this.#rollout;
    if (rollout === null) return null;
    const { detector, streams } = this.#options;
    const report = reportOf(rollout, this.#evidence(), this.#usersOf(rollout), streams(), this.#nowMs, detector);
    const failure = machine.isActive(rollout) ? null : this.problem();
    return failure === null ? report : { ...report, waitsFor: `${failure}; its streams keep their version.` };
  }

  /** The roll-out that runs now; null if none does. */
  get running(): Rollout | null {
    return this.#rollout !== null && machine.isActive(this.#rollout) ? this.#rollout : null;
  }

  problem(): string | null {
    const rollout = this.#rollout;
    if (rollout === null) return null;
    const wanted = machine.isActive(rollout) ? [rollout.from, rollout.to] : [machine.liveVersion(rollout)!];
    return wanted.map((version) => this.#failureOf(version)).find((failure) => failure !== null) ?? null;
  }

  /** Streams that use the candidate: on this host those that really do, on others those of the share. */
  #usersOf(rollout: Rollout): string[] {
    const { target, streams } = this.#options;
    const own = new Set(target.streams());
    const members = new Set(membersOf(streams(), rollout.share));
    return streams().filter((stream) => {
      if (!own.has(stream)) return members.has(stream);
      // While a step runs, members take turns.
      if (machine.isActive(rollout)) return members.has(stream) && target.isLoaded(rollout.to.hash);
      return target.versionOf(stream) === rollout.to.hash;
    });
  }

  versions(): readonly VersionReport[] {
    return versionReports(this.#rollout, this.#options.initial);
  }

  rolloutHistory(): Promise<readonly Decision[]> {
    return this.#options.store.history();
  }

  onRolloutEvent(listener: (event: EventMessage) => void): () => void {
    return this.#events.add(listener);
  }

  onShadow(listener: (observation: ShadowObservation) => void): () => void {
    return this.#shadows.add(listener);
  }

  async startRollout(raw: unknown, who: string): Promise<RolloutReport> {
    const { pipeline, initial, panels, resolve, detectorOf, running } = this.#options;
    await this.#inTurn(() => this.#read());
    const live = machine.liveVersion(this.#rollout) ?? initial;
    if (this.running !== null) throw rolloutErrors.isRunning(this.running.id, this.running.state);
    const request = readStartRequest(raw, live, running);
    if (this.#options.streams().length === 0) throw rolloutErrors.noStreams(pipeline);
    const guards = panels.check(request.guards);
    // Hashing weights takes seconds, so the record is read again afterwards.
    const parts = { ...(await resolve(request)), ...(request.streams && { streams: request.streams }) };
    const facts = { control: await detectorOf(live.model), candidate: await detectorOf(request.model) };
    return this.#change((rollout, actor) => {
      const from = machine.liveVersion(rollout) ?? initial;
      const known = rollout?.versions ?? [initial];
      const { version: to, versions } = withVersion(known, pipeline, parts, actor.nowMs, [from]);
      if (to.hash === from.hash)
        throw new SightlineError(
          'CONFIG_INVALID',
          `roll-out: expected another version than the one in use; ${to.label} has the same model, settings and weights`,
        );
      const { steps, holdMs, minFrames, shadowRatio, predicted, labelled: given } = request;
      const labelled = labelledVerdictOf({ ...from, ...facts.control }, { ...to, ...facts.candidate }, given);
      const settings = {
        pipeline,
        from,
        to,
        versions,
        guards,
        holdMs,
        minFrames,
        shadowRatio,
        ...stepsOf(request, actor.nowMs),
        ...(predicted === null ? {} : { predicted }),
        ...(labelled === undefined ? {} : { labelled }),
        shadow: request.shadow || !this.#options.streams().some((stream) => isMember(stream, steps[0]!)),
      };
      return machine.start(rollout, settings, { ...actor, who });
    });
  }

  async actOnRollout(verb: RolloutVerb, { who, isFull, seen }: RolloutAction): Promise<RolloutReport> {
    if (verb === 'undo') await this.#loadPrevious();
    return this.#change((rollout, actor) => {
      if (rollout === null) throw rolloutErrors.notFound(this.#options.pipeline);
      const person = { ...actor, who };
      if (verb !== 'promote') return VERBS[verb](rollout, person);
      const change = machine.promote(rollout, person, seen, isFull);
      const missing = change.rollout.state === 'promoted' ? this.#whyNotLoaded(rollout) : null;
      if (missing !== null) throw rolloutErrors.notLoaded(rollout.id, 'promote', rollout.to.label, missing);
      return change;
    });
  }

  /** Says which host does not have the candidate loaded, and why; null if all have it. */
  #whyNotLoaded({ id, to }: Rollout): string | null {
    const { hostId, hosts, target } = this.#options;
    if (!target.isLoaded(to.hash)) return this.#failureOf(to) ?? `host ${hostId} is still loading it; try again`;
    const loadedOn = this.#figures?.rollout === id ? (this.#figures.loadedOn ?? []) : [];
    const missing = hosts().find((host) => host !== hostId && !loadedOn.includes(host));
    return missing === undefined ? null : `host ${missing} has not reported it as loaded; try again`;
  }

  /** The version before a promotion may have been unloaded since, and its files may be gone. @throws ROLLOUT_STATE */
  async #loadPrevious(): Promise<void> {
    await this.#inTurn(() => this.#read());
    const { target, hostId } = this.#options;
    const rollout = this.#rollout;
    if (rollout?.state !== 'promoted' || target.isLoaded(rollout.from.hash)) return;
    await target.load(rollout.from).catch((error: unknown) => {
      const { code, message } = SightlineError.from(error, 'ENGINE_FAILED');
      const why = `host ${hostId} cannot load it: ${message} [${code}]`;
      throw rolloutErrors.notLoaded(rollout.id, 'undo', rollout.from.label, why);
    });
  }

  /** Applies a person's change to the newest record. */
  #change(make: (rollout: Rollout | null, actor: Omit<machine.Actor, 'who'>) => RolloutChange): Promise<RolloutReport> {
    return this.#inTurn(async () => {
      const { store } = this.#options;
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        await this.#read();
        const change = make(this.#rollout, { nowMs: this.#nowMs, evidence: this.#evidence() });
        const fence = await store.change(change, this.#rollout?.fence ?? 0, null);
        if (fence === null) continue;
        await this.#afterChange();
        return this.rollout()!;
      }
      throw rolloutErrors.changedMeanwhile(this.#rollout?.id ?? 'none');
    });
  }

  /** Before the candidate is loaded: loading it may be what ends this process. */
  async #noteStart(): Promise<void> {
    const { starts, target, hostId, onNotice } = this.#options;
    const rollout = this.#rollout;
    if (rollout === null || !this.#countsStarts(rollout)) return;
    const isActive = machine.isActive(rollout);
    const lives = (await starts.note(rollout.id)) - 1;
    this.#stopForgetting = this.#clock.setTimer(() => void starts.forget(), SHORT_LIFE_MS);
    if (lives < MOST_SHORT_LIVES || (isActive && target.isLoaded(rollout.to.hash))) return;
    const when = isActive ? `while ${rollout.to.label} was rolled out` : `after ${rollout.to.label} was promoted`;
    const text = `host ${hostId} ended ${lives} times in a row within ${SHORT_LIFE_MS / 1000} s of its start ${when}`;
    onNotice(`${text}; it is not loaded again`);
    if (!isActive) {
      if (await this.#rollBackPromoted(rollout, text)) await starts.forget();
      return;
    }
    this.#refused = rollout.id;
    this.#failures.set(rollout.to.hash, { rollout: rollout.id, text });
  }

  /** A promoted version is in doubt only if the pipeline file still names it or the one before: else the file counts. */
  #countsStarts({ state, from, to, endedMs }: Rollout): boolean {
    if (machine.isActive({ state })) return true;
    const { hash } = this.#options.initial;
    const isRecent = this.#nowMs - (endedMs ?? 0) < PROMOTED_MS;
    return state === 'promoted' && isRecent && (hash === from.hash || hash === to.hash);
  }

  /** No controller looks at a roll-out that has ended, so this host decides. @returns whether nobody else had changed it. */
  async #rollBackPromoted(rollout: Rollout, reason: string): Promise<boolean> {
    const { store, hostId } = this.#options;
    const actor = { who: hostId, nowMs: this.#nowMs, evidence: this.#evidence() };
    const fence = await store.change(machine.rollBack(rollout, reason, actor), rollout.fence, null);
    await this.#afterChange();
    return fence !== null;
  }

  async #beat(): Promise<void> {
    const { isController } = await this.#read();
    const { pipeline, hostId, bus } = this.#options;
    this.#follow();
    await this.#leaveBroken();
    for (const body of this.#takeObservations(pipeline))
      bus.publish({ topic: 'observations', hostId, stream: null, fence: null, body });
    this.#setController(isController);
    if (!isController || this.#rollout === null) return;
    if (await this.#controller.round(this.#rollout, this.#nowMs)) await this.#afterChange();
    this.#figures = this.#controller.figures() ?? this.#figures;
  }

  /**
   * Rolls a promotion back that this host cannot follow, for as long as the version before is kept loaded everywhere. Later the
   * host only reports it: a host that lost a file must not change the others.
   */
  async #leaveBroken(): Promise<void> {
    const rollout = this.#rollout;
    if (rollout?.state !== 'promoted' || this.#nowMs - (rollout.endedMs ?? 0) >= this.#options.warmMs) return;
    const failure = this.#failureOf(rollout.to);
    if (failure !== null) await this.#rollBackPromoted(rollout, `${failure}.`);
  }

  /** Why this host cannot load a version of the current roll-out; null if it can, or has not tried. */
  #failureOf({ hash }: Version): string | null {
    const failure = this.#failures.get(hash);
    if (failure === undefined) return null;
    if (failure.rollout === this.#rollout?.id && !this.#options.target.isLoaded(hash)) return failure.text;
    this.#failures.delete(hash);
    return null;
  }

  /** Reads what is new. Puts the record back if the control plane lost it. */
  async #read(): Promise<RolloutReply> {
    const { store, hostId, audit } = this.#options;
    const known = this.#rollout;
    let reply = await store.beat({ hostId, knownFence: known?.fence ?? 0 });
    if (known !== null && reply.fence < known.fence) {
      await store.restore(known, this.#decisions);
      this.#options.onNotice(`the control plane had lost roll-out ${known.id}; this host put it back`);
      reply = await store.beat({ hostId, knownFence: known.fence });
    }
    this.#nowMs = reply.nowMs;
    if (reply.rollout !== null) this.#rollout = reply.rollout;
    this.#figures = reply.figures;
    this.#decisions = [...this.#decisions, ...reply.decisions].slice(-KEPT_DECISIONS);
    // The first reply holds decisions from before the start of this host: these are no events.
    if (this.#hasRead) for (const one of reply.decisions) this.#events.emit(eventOf(one, this.#options.streams()));
    this.#hasRead = true;
    if (this.#isUnreachable) this.#options.onNotice('roll-outs go on');
    this.#isUnreachable = false;
    void audit.append(reply.decisions);
    return reply;
  }

  /** Reads the changed record, follows it and wakes the other hosts. */
  async #afterChange(): Promise<void> {
    const { bus, hostId, pipeline } = this.#options;
    bus.publish({ topic: 'rollout', hostId, stream: null, fence: null, body: { pipeline } });
    await this.#read();
    this.#follow();
  }

  #follow(): void {
    const rollout = this.#rollout;
    if (rollout === null || (rollout.id === this.#refused && machine.isActive(rollout))) return;
    this.#follower.apply(rollout, this.#nowMs);
  }

  #setController(isController: boolean): void {
    if (!isController) {
      this.#controller.resign();
      this.#stopObserving?.();
      this.#stopObserving = null;
    } else if (this.#stopObserving === null && !this.#isClosed)
      this.#stopObserving = this.#options.bus.subscribe('observations', null, (message) => this.#onObserved(message));
  }

  #observe(observation: HostObservation): void {
    if ('control' in observation) this.#shadows.emit(observation);
    if (this.running === null) return;
    this.#observations.push(observation);
    if (this.#observations.length > MOST_OBSERVATIONS) this.#observations.shift();
  }

  #takeObservations(pipeline: string): ObservationsBody[] {
    const [taken, rollout] = [this.#observations, this.running];
    this.#observations = [];
    if (rollout === null) return [];
    const isLoaded = this.#options.target.isLoaded(rollout.to.hash);
    const head = { pipeline, rollout: rollout.id, step: rollout.step, isLoaded };
    const failure = this.#failureOf(rollout.to);
    // A host without frames reports too whether it is ready.
    const bodies: ObservationsBody[] =
      failure === null && taken.length > 0 ? [] : [{ ...head, observations: [], failure }];
    for (let at = 0; at < taken.length; at += MESSAGE_OBSERVATIONS)
      bodies.push({ ...head, observations: taken.slice(at, at + MESSAGE_OBSERVATIONS), failure: null });
    return bodies;
  }

  #onObserved({ hostId, body }: BusMessage): void {
    const read = readObservations(body);
    if ('complaint' in read) this.#incidents.refuse('bus-observations', 'schema', () => read.complaint);
    else if (read.body.pipeline === this.#options.pipeline) this.#controller.observe(read.body, hostId);
  }

  #onWake({ hostId, body }: BusMessage): void {
    const read = readRolloutWake(body);
    if ('complaint' in read) this.#incidents.refuse('bus-rollout', 'schema', () => read.complaint);
    else if (read.body.pipeline === this.#options.pipeline && hostId !== this.#options.hostId) void this.tick();
  }

  #onLoadFailed({ hash, label }: Version, { code, message }: SightlineError): void {
    const { hostId, onNotice, pipeline } = this.#options;
    const rollout = this.#rollout;
    const text = `host ${hostId} cannot load ${label}: ${message} [${code}]`;
    const known = this.#failures.get(hash);
    if (rollout === null || (known?.rollout === rollout.id && known.text === text)) return;
    onNotice(`version ${label} cannot be loaded: ${message} [${code}]`);
    this.#failures.set(hash, { rollout: rollout.id, text });
    const details = { rollout: rollout.id, pipeline, version: label, code };
    this.#events.emit({ type: 'event', timeMs: this.#nowMs, kind: 'rollout-not-loaded', message: text, details });
  }

  #onBeatFailed(error: unknown): void {
    const { code, message } = SightlineError.from(error, 'INTERNAL_ERROR');
    const what = code === 'CONTROL_UNREACHABLE' ? 'roll-outs wait for the control plane' : 'a beat of roll-outs failed';
    if (!this.#isUnreachable) this.#options.onNotice(`${what}: ${message} [${code}]`);
    this.#isUnreachable = true;
    // Another host may become the controller meanwhile.
    this.#controller.resign();
  }

  #evidence(): machine.StepEvidence {
    const { id, step } = this.#rollout ?? { id: '', step: 0 };
    if (this.#rollout !== null && !machine.isActive(this.#rollout))
      return { ...machine.NO_EVIDENCE, ...this.#decisions.findLast(({ rollout }) => rollout === id) };
    return this.#figures?.rollout === id && this.#figures.step === step ? this.#figures : machine.NO_EVIDENCE;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#stopTimer = this.#clock.setTimer(() => {
      this.#schedule();
      void this.tick();
    }, this.#options.beatMs);
  }

  /** Beats and changes run one after the other: each reads the record and acts on it. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(run);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
