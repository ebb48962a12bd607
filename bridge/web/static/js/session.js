// Who looks, and what he may do.
import { Store } from "./store.js";

/**
 * @typedef {object} Session
 * @property {string | null} user
 * @property {"viewer" | "operator" | null} role
 * @property {boolean} is_login_needed
 * @property {string | null} csrf_token
 * @property {"gateway" | "receiver"} program
 * @property {string} name
 * @property {string | null} version null to strangers
 */

/** null until the first answer. @type {Store<Session | null>} */
export const session = new Store(/** @type {Session | null} */ (null));

/** The version of the gateway that answers, when it is not the one that this page came with; else null. @type {Store<string | null>} */
export const otherVersion = new Store(/** @type {string | null} */ (null));

/** @type {string | null} */
let ownVersion = null;

/** The gateway has said who looks. @param {Session} who */
export function heardSession(who) {
  ownVersion ??= who.version;
  if (who.version) otherVersion.set(who.version === ownVersion ? null : who.version);
  session.set(who);
}

/** Whether somebody has to log in before anything else can be seen. @param {Session} who */
export const isStranger = (who) => who.role === null;

/** Why the person who looks may not act, or null when he may. @returns {string | null} */
export const reasonNotToAct = () =>
  session.value?.role === "operator" ? null : "You are logged in as a viewer: only an operator may do this.";
