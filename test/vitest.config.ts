import { join, resolve } from 'node:path'
import { defineConfig } from 'vitest/config'

/** Of what failed on a machine of others there is nothing but the message: it has to hold all of the values. */
const chaiConfig = { truncateThreshold: 0 }
/** What is waited for comes when it comes: the second that expect.poll has by itself is one of a quick machine. */
const expectConfig = { poll: { timeout: 20_000 } }
const COMPILE_CACHE = join(resolve(import.meta.dirname, '..'), 'out', 'test', 'compile-cache')
/** The tests of the suite unit that start servers of their own, on loopback. */
const WITH_SERVERS = [
  'test/unit/kube/{credentials,http-*,reflector*,stop}.test.ts',
  'test/unit/page/live.test.ts',
  'test/unit/recorder/workloads.test.ts',
  'test/unit/cli/doctor-reads.test.ts',
]
/** Below the time-out of these tests, so that it is said what did not come. */
const expectSoon = { poll: { timeout: 8_000 } }

/**
 * One project a suite, so that `npm test` can run and count them one after the other.
 * unit: no process, no network but loopback. long: the same, for properties of many runs and what takes real time. command: programs as
 * processes, `gracewatch` and helm. page: the page in Chromium. replay: recorded evidence. agent: this machine's kernel. apiserver: a real API
 * server. bench: the bench in small, on the same. chaos: the same, while it and the controller are broken. e2e: a real node.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          chaiConfig,
          expect: expectSoon,
          // Cheaper to start than a process for each file.
          pool: 'threads',
          // Most of the time would go into loading the same modules for each file. So no test here may leave anything behind.
          isolate: false,
          include: ['test/unit/**/*.test.ts'],
          exclude: ['**/*.long.test.ts', ...WITH_SERVERS],
          setupFiles: ['test/setup.ts'],
          testTimeout: 10_000,
        },
      },
      {
        test: {
          name: 'unit-servers',
          chaiConfig,
          expect: expectSoon,
          pool: 'threads',
          // Each by itself: they count sockets and timers.
          include: WITH_SERVERS,
          exclude: ['**/*.long.test.ts'],
          setupFiles: ['test/setup.ts'],
          testTimeout: 10_000,
        },
      },
      {
        test: {
          name: 'long',
          chaiConfig,
          expect: expectSoon,
          pool: 'threads',
          include: ['test/unit/**/*.long.test.ts'],
          setupFiles: ['test/setup.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'command',
          chaiConfig,
          expect: expectSoon,
          globalSetup: ['test/command/programs.ts'],
          include: ['test/command/**/*.test.ts'],
          // Types are stripped once, not by each process: that is most of what a short one takes.
          env: { NODE_COMPILE_CACHE: COMPILE_CACHE },
          // They start processes, some of which are Prometheus: two at a time take longer than one after the other.
          fileParallelism: false,
          testTimeout: 20_000,
          // Some start Prometheus and Alertmanager.
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'page',
          chaiConfig,
          expect: expectConfig,
          // Installs Chromium where there is none.
          globalSetup: ['test/page/chromium.ts'],
          include: ['test/page/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'replay',
          chaiConfig,
          include: ['test/replay/**/*.test.ts'],
          setupFiles: ['test/setup.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'agent',
          chaiConfig,
          expect: expectConfig,
          include: ['test/agent/**/*.test.ts'],
          testTimeout: 60_000,
          // Some install Debian's packages that they need.
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'cluster',
          chaiConfig,
          expect: expectConfig,
          include: ['test/cluster/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'apiserver',
          chaiConfig,
          expect: expectConfig,
          include: ['test/apiserver/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'chaos',
          chaiConfig,
          expect: expectConfig,
          // `npm run chaos` has a form of its own, as long as it is told.
          include: [process.env.GRACEWATCH_CHAOS_MINUTES === undefined ? 'test/chaos/**/*.test.ts' : 'test/chaos/long.ts'],
          // Each waits for states, and says what is missing long before.
          testTimeout: 900_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'bench',
          chaiConfig,
          expect: expectConfig,
          include: ['test/bench/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'e2e',
          chaiConfig,
          expect: expectConfig,
          include: ['test/e2e/**/*.test.ts'],
          // The scenarios mostly wait, for grace periods and hooks.
          maxConcurrency: 8,
          testTimeout: 600_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
