/** How many messages came at which topic, level by level. */

/** A tree of topics that never end must not eat the tab. */
export const MOST_NODES = 10_000;

/** More levels than anybody opens. */
const MOST_LEVELS = 64;

export interface TopicNode {
  name: string;
  /** The topic up to here. */
  path: string;
  /** Messages at this topic and below. */
  count: number;
  children: Map<string, TopicNode>;
}

export class TopicTree {
  root: TopicNode = node("", "");
  nodes = 0;
  /** Whether some topics are counted at a level above their own, as there was no room. */
  isFull = false;

  add(topic: string): void {
    let at = this.root;
    at.count += 1;
    // At most that many levels are looked at, however many slashes there are.
    for (const [depth, level] of topic.split("/", MOST_LEVELS).entries()) {
      let child = at.children.get(level);
      if (child === undefined) {
        if (this.nodes >= MOST_NODES) {
          this.isFull = true;
          return;
        }
        child = node(level, depth === 0 ? level : `${at.path}/${level}`);
        at.children.set(level, child);
        this.nodes += 1;
      }
      child.count += 1;
      at = child;
    }
  }

  clear(): void {
    this.root = node("", "");
    this.nodes = 0;
    this.isFull = false;
  }
}

const node = (name: string, path: string): TopicNode => ({ name, path, count: 0, children: new Map() });
