/** The list of messages: only the rows in sight exist, and they are painted once for each frame. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { session } from "./current";
import { Detail } from "./detail";
import { download, toCsv, toJsonLines } from "./export";
import { filterProblem, matches } from "./filter";
import { figure, locale, size } from "./language";
import { type Message, type MessageLog, View } from "./log";
import { preview } from "./payload";
import { useStore } from "./store";
import { Text } from "./ui";
import { Topics } from "./topics-view";
import { words as t } from "./words/console";

/** The height of a row in pixels; the style sheet has the same. */
const ROW = 52;
/** Rows beyond the edges, so that a fast scroll shows no gaps. */
const SPARE = 6;
/** Filters wait until the fingers rest. */
const TYPING = 200;

export function Messages() {
  useStore(session);
  const [paused, setPaused] = useState<MessageLog>();
  const [filter, setFilter] = useState("");
  const [text, setText] = useState("");
  const [selected, setSelected] = useState<Message>();
  const [settledFilter, settledText] = [useSettled(filter), useSettled(text)];
  const log = paused ?? session.log;
  const problem = filter === "" ? null : filterProblem(filter);
  const view = useMemo(
    () => new View(log, test(settledFilter, settledText)),
    [log, settledFilter, settledText],
  );
  const left = view.follow();
  const rate = useRate();
  const total = log.next - log.first;
  const clear = () => {
    session.clear();
    setPaused(undefined);
    setSelected(undefined);
  };
  return (
    <section class="card messages" aria-labelledby="messages-title" data-testid="messages">
      <div class="bar">
        <h2 id="messages-title">{t("messages")}</h2>
        <span class="hint" data-testid="count">
          {t("shown", { shown: figure(view.length), total: figure(total) })}
          {session.log.first > 0 && total > 0 &&
            ` · ${t("dropped", { kept: figure(total), total: figure(session.log.next) })}`}
          {rate > 0 && ` · ${t("rate", { rate: figure(rate) })}`}
        </span>
        <span class="spring" />
        <span class="buttons">
          <button
            type="button"
            aria-pressed={paused !== undefined}
            data-testid="pause"
            onClick={() => setPaused(paused ? undefined : session.log.copy())}
          >
            {t(paused ? "resume" : "pause")}
          </button>
          <Export view={view} />
          <button type="button" class="quiet" onClick={clear} data-testid="clear">
            {t("clear")}
          </button>
        </span>
      </div>
      <div class="pair-of-fields">
        <Text
          label={t("search-topic")}
          type="search"
          value={filter}
          placeholder="demo/+/temperature"
          error={problem ? t(problem) : undefined}
          testId="search-topic"
          onChange={setFilter}
        />
        <Text
          label={t("search-text")}
          type="search"
          value={text}
          placeholder={t("search-hint")}
          testId="search-text"
          onChange={setText}
        />
      </div>
      {paused && (
        <p class="note" data-testid="paused">
          {t("paused", { n: figure(session.log.next - paused.next) })}
        </p>
      )}
      <div class="split">
        <div class="stack">
          <List
            view={view}
            left={left}
            selected={selected}
            empty={t(total === 0 ? "no-messages" : "nothing-matches")}
            onSelect={setSelected}
          />
          <Topics onOnly={setFilter} />
        </div>
        {selected ? (
          <Detail key={selected.number} message={selected} onClose={() => setSelected(undefined)} />
        ) : (
          <p class="hint detail-none">{t("detail-none")}</p>
        )}
      </div>
    </section>
  );
}

interface ListProps {
  view: View;
  /** How many rows have left at the head since the last frame. */
  left: number;
  selected: Message | undefined;
  empty: string;
  onSelect: (message: Message) => void;
}

function List({ view, left, selected, empty, onSelect }: ListProps) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(ROW * 8);
  const [follows, setFollows] = useState(true);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    // What somebody reads stays where it is while older rows leave above it.
    if (follows) element.scrollTop = element.scrollHeight;
    else if (left > 0) element.scrollTop -= left * ROW;
  });
  const scroll = () => {
    const element = box.current;
    if (!element) return;
    setTop(element.scrollTop);
    setFollows(element.scrollTop + element.clientHeight >= element.scrollHeight - ROW / 2);
  };
  const choose = (row: number) => {
    const message = view.at(Math.min(Math.max(row, 0), view.length - 1));
    const element = box.current;
    if (!message || !element) return;
    const at = view.rowOf(message.number) * ROW;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + ROW > element.scrollTop + element.clientHeight) element.scrollTop = at + ROW - element.clientHeight;
    onSelect(message);
  };
  const press = (event: KeyboardEvent) => {
    const at = selected ? view.rowOf(selected.number) : -1;
    const page = Math.floor(height / ROW);
    const rows: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? view.length - 1 : at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: view.length - 1,
    };
    const row = rows[event.key];
    if (row === undefined) return;
    event.preventDefault();
    setFollows(event.key === "End");
    choose(row);
  };
  const visible = Math.ceil(height / ROW);
  const firstSeen = follows ? view.length - visible : Math.floor(top / ROW);
  const from = Math.max(0, firstSeen - SPARE);
  const rows = view.rows(from, from + visible + 2 * SPARE);
  const isShown = selected && rows.some(({ number }) => number === selected.number);
  return (
    <div class="list-frame">
      <div
        ref={box}
        class="list"
        role="listbox"
        tabIndex={0}
        aria-label={t("list-hint")}
        aria-activedescendant={isShown ? `message-${selected.number}` : undefined}
        data-testid="list"
        onScroll={scroll}
        onKeyDown={press}
      >
        <div class="rows" style={{ height: `${view.length * ROW}px` }}>
          {rows.map((message, index) => (
            <Row
              key={message.number}
              message={message}
              row={from + index}
              of={view.length}
              isSelected={message.number === selected?.number}
              onSelect={onSelect}
            />
          ))}
        </div>
      </div>
      {view.length === 0 && <p class="hint empty">{empty}</p>}
      {!follows && view.length * ROW > height && (
        <button type="button" class="to-newest" onClick={() => setFollows(true)} data-testid="follow">
          ↓ {t("follow")}
        </button>
      )}
    </div>
  );
}

function Row({ message, row, of, isSelected, onSelect }: {
  message: Message;
  row: number;
  of: number;
  isSelected: boolean;
  onSelect: (message: Message) => void;
}) {
  // A row lives as long as it is in sight: its payload is read once for that.
  const line = useMemo(() => preview(message.payload).slice(0, 300), [message]);
  return (
    <div
      id={`message-${message.number}`}
      class="row"
      role="option"
      aria-selected={isSelected}
      aria-posinset={row + 1}
      aria-setsize={of}
      style={{ transform: `translateY(${row * ROW}px)` }}
      onClick={() => onSelect(message)}
    >
      <span class="line">
        <span class="topic">{message.topic}</span>
        <time>{clock(message.time)}</time>
      </span>
      <span class="line">
        <span class="payload">{line}</span>
        <span class="tags">
          QoS {message.qos}
          {message.retain && ` · ${t("retained")}`}
          {message.dup && ` · ${t("dup")}`}
          {` · ${size(message.payload.length)}`}
        </span>
      </span>
    </div>
  );
}

function Export({ view }: { view: View }) {
  const name = () => `messages-${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}`;
  return (
    <>
      <button
        type="button"
        class="quiet"
        disabled={view.length === 0}
        aria-label={`${t("export")}: JSONL`}
        data-testid="export-jsonl"
        onClick={() => download(`${name()}.jsonl`, "application/jsonl", toJsonLines(view.rows()))}
      >
        {t("export-jsonl")}
      </button>
      <button
        type="button"
        class="quiet"
        disabled={view.length === 0}
        aria-label={`${t("export")}: CSV`}
        data-testid="export-csv"
        onClick={() => download(`${name()}.csv`, "text/csv;charset=utf-8", toCsv(view.rows()))}
      >
        {t("export-csv")}
      </button>
    </>
  );
}

/** What a row has to have to be shown. */
function test(filter: string, text: string): (message: Message) => boolean {
  const needle = text.toLowerCase();
  const isUsable = filter !== "" && filterProblem(filter) === null;
  return ({ topic, payload }) =>
    (!isUsable || matches(filter, topic)) &&
    (needle === "" || topic.toLowerCase().includes(needle) || preview(payload).toLowerCase().includes(needle));
}

/** A value that has not changed for a moment. */
function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), TYPING);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Messages that came within the last second. */
function useRate(): number {
  const [rate, setRate] = useState(0);
  useEffect(() => {
    let before = session.log.next;
    const timer = setInterval(() => {
      setRate(session.log.next - before);
      before = session.log.next;
    }, 1000);
    return () => clearInterval(timer);
  }, []);
  return rate;
}

let clockOf: { locale: string; format: Intl.DateTimeFormat } | undefined;

/** To the millisecond; making a formatter for each row would take longer than the row. */
function clock(time: number): string {
  if (clockOf?.locale !== locale()) {
    const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
    clockOf = {
      locale: locale(),
      format: new Intl.DateTimeFormat(locale(), { ...options, fractionalSecondDigits: 3 }),
    };
  }
  return clockOf.format.format(time);
}
