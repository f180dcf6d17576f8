/** Cleanup on a real node: what it does beside the controllers of Kubernetes, and its page of the documentation, side by side. */
import { useInstalled } from '../gates/use-gates.ts'
import { guided, wayOut } from './guide.ts'
import { story } from './story.ts'

const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const given = useInstalled('the tests of cleanup', { gates: true, cleanup: true })

story(given)
guided(given)
wayOut(EXTERNAL)
