/** The tree of topics, opened level by level. */

import { useState } from "preact/hooks";
import { session } from "./current";
import { figure } from "./language";
import { useStore } from "./store";
import { MOST_NODES, type TopicNode } from "./topics";
import { words as t } from "./words/console";

/** Shown of one level; the rest is a number. */
const MOST_SHOWN = 200;

export function Topics({ onOnly }: { onOnly: (filter: string) => void }) {
  useStore(session);
  const [isOpen, setOpen] = useState(false);
  const { topics } = session;
  return (
    <details class="topics" data-testid="topics" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {t("topics")} ({figure(topics.nodes)})
      </summary>
      {topics.isFull && <p class="warning">{t("topics-full", { n: figure(MOST_NODES) })}</p>}
      {/* A closed tree costs nothing. */}
      {isOpen && <Level node={topics.root} onOnly={onOnly} />}
    </details>
  );
}

function Level({ node, onOnly }: { node: TopicNode; onOnly: (filter: string) => void }) {
  const children = [...node.children.values()].slice(0, MOST_SHOWN);
  const more = node.children.size - children.length;
  return (
    <ul>
      {children.map((child) => (
        <Branch key={child.name} node={child} onOnly={onOnly} />
      ))}
      {more > 0 && <li class="hint">{t("topics-more", { n: figure(more) })}</li>}
    </ul>
  );
}

function Branch({ node, onOnly }: { node: TopicNode; onOnly: (filter: string) => void }) {
  const [isOpen, setOpen] = useState(false);
  const hasMore = node.children.size > 0;
  // What is shown of a topic with wildcards in it (no broker sends one) would be others.
  return (
    <li>
      <div class="branch">
        {hasMore ? (
          <button type="button" class="quiet icon" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}
            aria-label={node.path}>
            {isOpen ? "▾" : "▸"}
          </button>
        ) : (
          <span class="icon" aria-hidden="true" />
        )}
        <button
          type="button"
          class="quiet name"
          title={t("topic-only", { topic: node.path })}
          onClick={() => onOnly(`${node.path}/#`)}
        >
          {node.name === "" ? "∅" : node.name}
        </button>
        <span class="hint">{figure(node.count)}</span>
      </div>
      {isOpen && <Level node={node} onOnly={onOnly} />}
    </li>
  );
}
