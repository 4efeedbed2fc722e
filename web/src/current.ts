/** The one session of the page. */

import { Session } from "./session";

export const session = new Session();
