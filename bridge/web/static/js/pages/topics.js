// What flows, as a tree; one topic with its values; and what is retained.
import { html } from "../html.js";
import { Panel, PageHead } from "../parts/panel.js";
import { usePlace } from "../router.js";
import { RetainedPanel } from "./retained.js";
import { TopicPanel } from "./topic.js";
import { TopicTree } from "./topic_tree.js";

export function TopicsPage() {
  const { query } = usePlace();
  const topic = query.get("topic");
  const view = query.get("view");
  return html`
    <${PageHead} title="Topics">
      <nav class="tabs" aria-label="Kinds of topics"><ul>
        <li><a href="/topics" aria-current=${view === "retained" ? undefined : "page"}>What flows</a></li>
        <li><a href="/topics?view=retained" aria-current=${view === "retained" ? "page" : undefined}>Retained</a></li>
      </ul></nav>
    <//>
    ${
      view === "retained"
        ? html`<${RetainedPanel} filter=${query.get("filter") ?? "#"} />`
        : html`<div class="split" data-chosen=${topic !== null}>
          <${Panel} title="Tree of topics" kind="untitled"><${TopicTree} chosen=${topic} /><//>
          ${topic !== null && html`<${TopicPanel} key=${topic} topic=${topic} />`}
        </div>`
    }`;
}
