import type { Scenario } from '../scenario.ts'
import { agentFaults } from './agent-faults.ts'
import { causes } from './causes.ts'
import { deletes } from './deletes.ts'
import { graceAndHooks } from './grace-and-hooks.ts'
import { hooks } from './hooks.ts'
import { jobs } from './jobs.ts'
import { killers } from './killers.ts'
import { manyContainers } from './many-containers.ts'
import { parents } from './parents.ts'
import { pidNamespaces } from './pid-namespaces.ts'
import { restarts } from './restarts.ts'
import { services } from './services.ts'
import { signals } from './signals.ts'
import { stopSignals } from './stop-signals.ts'
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
  ...parents,
  ...killers,
  ...stopSignals,
  ...pidNamespaces,
  ...agentFaults,
].sort((a, b) => a.number - b.number)
