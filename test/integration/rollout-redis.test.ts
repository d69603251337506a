import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { CAMERAS, guardReport, sideObservation } from '../support/rollout-doubles.ts';
import { INITIAL, type RolloutHost, RolloutRig } from '../support/rollout-rig.ts';
import { waitFor } from '../support/wait-for.ts';

const LEASE_MS = 1_000;

describe.skipIf(redisMissing !== null)(
  redisMissing === null ? 'a roll-out on Redis' : `a roll-out on Redis (SKIPPED: ${redisMissing})`,
  () => {
    let server: RedisServer;
    const opened: { close(): unknown }[] = [];

    beforeEach(async () => {
      server = await RedisServer.open();
    });
    afterEach(async () => {
      for (const one of opened.splice(0).reverse()) await one.close();
      await server.close();
    });

    async function host(id: string): Promise<{ host: RolloutHost; rig: RolloutRig }> {
      const control = await openRedisControlPlane({ url: server.url, leaseMs: LEASE_MS, commandTimeoutMs: 500 });
      const rig = new RolloutRig({ store: control.rollouts('people'), bus: control.bus });
      opened.push(control, rig);
      return { host: await rig.host(id), rig };
    }

    async function runUntil(hosts: readonly RolloutHost[], what: string, claim: () => boolean): Promise<void> {
      await waitFor(what, async () => {
        for (const { target } of hosts) {
          if (!target.isAlone) target.report(sideObservation({ side: 'control' }));
          target.report(sideObservation());
        }
        for (const { agent } of hosts) await agent.tick();
        return claim();
      });
    }

    it('survives that Redis is killed and comes back without its data', async () => {
      const { host: one } = await host('one');
      await one.agent.startRollout({ model: 'new', steps: [50, 100], holdMs: 0, minFrames: 25 }, 'anna');
      one.panels.say(guardReport('undecided'));
      await runUntil([one], '50 %', () => one.agent.rollout()?.share === 50);
      const users = one.target.users(INITIAL.hash);
      await server.kill();
      await runUntil([one], 'the notice', () => one.notices.join().includes('CONTROL_UNREACHABLE'));
      expect(one.target.users(INITIAL.hash), 'nothing changes meanwhile').toEqual(users);
      await server.start();
      one.panels.say(guardReport('pass'));
      await runUntil([one], 'the promotion', () => one.agent.rollout()?.state === 'promoted');
      expect(one.notices.join()).toContain('put it back');
      expect(one.target.users(INITIAL.hash)).toEqual([]);
    });

    it('goes on at another host once the lease of a dead controller has ended', async () => {
      const { host: one, rig } = await host('one');
      await one.agent.startRollout({ model: 'new', steps: [50, 100], holdMs: 0, minFrames: 25 }, 'anna');
      one.panels.say(guardReport('undecided'));
      await runUntil([one], '50 %', () => one.agent.rollout()?.share === 50);
      rig.kill(one);
      const { host: two } = await host('two');
      two.panels.say(guardReport('fail'));
      await runUntil([two], 'the rollback', () => two.agent.rollout()?.state === 'rolled-back');
      expect((await two.agent.rolloutHistory())[0]).toMatchObject({ who: 'two', kind: 'rolled-back' });
      expect(two.target.users(INITIAL.hash)).toEqual(CAMERAS);
    });
  },
);
