/** Before the first test, so that no hook's time goes by while Debian's packages are fetched: some hundred megabytes. */
import { ensureCommand } from '../agent/support/packages.ts'

export const setup = (): Promise<void> => ensureCommand('chromium')
