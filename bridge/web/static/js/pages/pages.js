// Which pages there are, in the order of the menu.
import { ConfigurationPage } from "./configuration.js";
import { DeadLetterPage } from "./dead_letter.js";
import { DeadLettersPage } from "./dead_letters.js";
import { DevicePage } from "./device.js";
import { DevicesPage } from "./devices.js";
import { OverviewPage } from "./overview.js";
import { ReceiverPage } from "./receiver.js";
import { SetAsidePage } from "./set_aside.js";
import { StreamsPage } from "./streams.js";
import { TopicsPage } from "./topics.js";

/** @typedef {{path: string, name: string, icon: string, component: any, below?: any}} Page `below`: what /path/… shows */

/** @type {Page[]} */
export const GATEWAY_PAGES = [
  { path: "/", name: "Overview", icon: "overview", component: OverviewPage },
  { path: "/streams", name: "Streams", icon: "streams", component: StreamsPage },
  { path: "/devices", name: "Devices", icon: "devices", component: DevicesPage, below: DevicePage },
  { path: "/topics", name: "Topics", icon: "topics", component: TopicsPage },
  {
    path: "/dead-letters",
    name: "Dead letters",
    icon: "dead-letters",
    component: DeadLettersPage,
    below: DeadLetterPage,
  },
  { path: "/configuration", name: "Configuration", icon: "configuration", component: ConfigurationPage },
];

/** @type {Page[]} */
export const RECEIVER_PAGES = [
  { path: "/", name: "Receiver", icon: "receiver", component: ReceiverPage },
  { path: "/set-aside", name: "Set aside", icon: "set-aside", component: SetAsidePage },
];

/** @param {Page[]} pages @param {string} path @returns {{component: any} | undefined} */
export function pageFor(pages, path) {
  for (const page of pages) {
    if (page.path === path) return page;
    if (page.below && path.startsWith(`${page.path}/`)) return { component: page.below };
  }
  return undefined;
}
