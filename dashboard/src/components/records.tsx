/** What happened: the present release's timeline, and the releases that ended. */
import { CircleAlert, CircleDot } from "lucide-preact";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { now } from "../lib/clock";
import { count, moment, span, tag } from "../lib/format";
import { hrefOf } from "../lib/router";
import type { HistoryEntry, TimelineItem } from "../lib/types";
import { OutcomeBadge } from "./phase";

/** "ReleaseStarted" as "Release started". */
const sentence = (reason: string): string => {
  const words = reason.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
};

const SHOWN = 8;

export const Timeline = ({ items }: { items: TimelineItem[] }): JSX.Element => {
  const [all, setAll] = useState(false);
  if (!items.length) return <p class="muted">Nothing has happened since this controller began to watch.</p>;
  const newest = [...items].reverse();
  return (
    <>
      <ol class="timeline">
        {newest.slice(0, all ? undefined : SHOWN).map((item) => (
          <li key={item.number} data-type={item.type}>
            {item.type === "Warning" ? <CircleAlert class="icon" aria-label="warning" /> : <CircleDot class="icon" aria-hidden="true" />}
            <div>
              <span class="what">
                <b>{sentence(item.reason)}</b>
                <time class="number muted small" dateTime={new Date(item.at * 1000).toISOString()}>
                  {moment(item.at, now.value)}
                </time>
              </span>
              <span class="muted small">{item.note}</span>
            </div>
          </li>
        ))}
      </ol>
      {items.length > SHOWN && (
        <button type="button" class="button" onClick={() => setAll(!all)}>
          {all ? "Show the newest only" : `Show all ${count(items.length)}`}
        </button>
      )}
    </>
  );
};

/** @param named - whether each row says whose release it was. */
export const History = ({ entries, named = false }: { entries: HistoryEntry[]; named?: boolean }): JSX.Element => {
  if (!entries.length) return <p class="muted">No release has ended yet.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="List of releases that ended">
      <table class="history">
        <thead>
          <tr>
            {named && <th scope="col">Rollout</th>}
            <th scope="col">Version</th>
            <th scope="col">Outcome</th>
            <th scope="col">Why</th>
            <th scope="col">Ended</th>
            <th scope="col">Took</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={`${entry.namespace}/${entry.name}/${entry.revision}/${entry.endedAt}`}>
              {named && (
                <td>
                  <a href={hrefOf(entry.namespace, entry.name)}>{entry.name}</a>
                  <span class="muted small"> {entry.namespace}</span>
                </td>
              )}
              <td>
                <b>{entry.images.map(tag).join(", ") || entry.revision}</b>
                <span class="mono muted small"> {entry.revision}</span>
              </td>
              <td>
                <OutcomeBadge outcome={entry.outcome} />
              </td>
              <td class="why">{entry.reason}</td>
              <td class="number nowrap">{moment(entry.endedAt, now.value)}</td>
              <td class="number nowrap">{span(entry.seconds)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};
