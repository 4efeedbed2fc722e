/** Topic filters, as the broker matches them. */

/** Whether a topic name matches a topic filter, shared subscriptions included. */
export function matches(filter: string, topic: string): boolean {
  const levels = withoutShare(filter).split("/");
  const names = topic.split("/");
  // Wildcards at the first level leave topics of the server out [MQTT-4.7.2-1].
  if (topic.startsWith("$") && (levels[0] === "#" || levels[0] === "+")) return false;
  for (const [index, level] of levels.entries()) {
    if (level === "#") return true;
    if (index >= names.length || (level !== "+" && level !== names[index])) return false;
  }
  return levels.length === names.length;
}

/** What is wrong with a filter; `null` where nothing is. */
export function filterProblem(filter: string): "filter-empty" | "filter-wildcard" | "filter-share" | "topic-long" | null {
  const bare = withoutShare(filter);
  if (filter === "") return "filter-empty";
  if (filter.startsWith("$share/") && (bare === filter || bare === "")) return "filter-share";
  if (isTooLong(filter)) return "topic-long";
  const levels = bare.split("/");
  const misplaced = levels.some(
    (level, index) => (/[+#]/.test(level) && level.length > 1) || (level === "#" && index < levels.length - 1),
  );
  return misplaced ? "filter-wildcard" : null;
}

/** What is wrong with a topic name; `null` where nothing is. */
export function topicProblem(topic: string): "topic-empty" | "topic-wildcard" | "topic-long" | null {
  if (topic === "") return "topic-empty";
  if (/[+#]/.test(topic)) return "topic-wildcard";
  return isTooLong(topic) ? "topic-long" : null;
}

/** Two bytes carry the length of every string in MQTT. */
const isTooLong = (text: string) => text.includes("\0") || new TextEncoder().encode(text).length > 65_535;

/** `$share/group/filter` asks for `filter`. */
const withoutShare = (filter: string) => /^\$share\/[^/+#]+\/(.*)$/s.exec(filter)?.[1] ?? filter;
