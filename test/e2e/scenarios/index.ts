import type { Scenario } from '../scenario.ts'
import { causes } from './causes.ts'
import { deletes } from './deletes.ts'
import { graceAndHooks } from './grace-and-hooks.ts'
import { hooks } from './hooks.ts'
import { jobs } from './jobs.ts'
import { manyContainers } from './many-containers.ts'
import { restarts } from './restarts.ts'
import { services } from './services.ts'
import { signals } from './signals.ts'
import { stuck } from './stuck.ts'

/** All scenarios, in the order of the list. */
export const SCENARIOS: readonly Scenario[] = [
  ...graceAndHooks,
  ...signals,
  ...hooks,
  ...deletes,
  ...manyContainers,
  ...causes,
  ...restarts,
  ...stuck,
  ...services,
  ...jobs,
].sort((a, b) => a.number - b.number)
