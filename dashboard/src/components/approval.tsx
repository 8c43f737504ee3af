/** What people are asked, who has said what, and the buttons. */
import { Check, UserCheck, X } from "lucide-preact";
import type { JSX } from "preact";
import { now } from "../lib/clock";
import { moment, plural, span, unix } from "../lib/format";
import { info } from "../lib/info";
import type { Approval, Decision, Detail } from "../lib/types";
import { ActionButton } from "./actions";

const Until = ({ until, then }: { until: string | number; then: string }): JSX.Element => {
  const left = unix(until) - now.value;
  return (
    <span class="number">
      {left > 0 ? `until ${moment(unix(until), now.value)} (${span(left)} left), ${then}` : "its time is over"}
    </span>
  );
};

const sentence = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);

const One = ({ decision }: { decision: Decision }): JSX.Element => {
  const approved = decision.verdict === "Approve";
  return (
    <li>
      <span class={`badge tone-${approved ? "good" : "bad"}`}>
        {approved ? <Check class="icon" aria-hidden="true" /> : <X class="icon" aria-hidden="true" />}
        {approved ? "Approved" : "Rejected"}
      </span>
      <span>
        <b>{decision.by || "Somebody who may change the Rollout"}</b> <span class="muted">
          via {decision.via}
          {decision.at ? `, ${moment(unix(decision.at), now.value)}` : ""}
        </span>
        {decision.comment && <q>{decision.comment}</q>}
      </span>
    </li>
  );
};

/** Who is asked, in words; empty where whoever may change the Rollout is. */
const asked = ({ approvers, restricted, excludeAuthor, authors }: Approval): string => {
  const names = [
    ...(approvers?.users ?? []),
    ...(approvers?.groups ?? []).map((group) => `group ${group}`),
    ...(approvers?.slackUsers ?? []).map((one) => `Slack ${one}`),
    ...(approvers?.slackGroups ?? []).map((group) => `Slack group ${group}`),
    ...(approvers?.callers ?? []).map((caller) => `caller ${caller}`),
  ];
  const who = names.length ? names.join(", ") : restricted ? "whoever has the verb approve on rollouts" : "";
  const author = excludeAuthor ? `not the author${authors?.length ? ` (${authors.join(", ")})` : ""}` : "";
  return [who && `asked: ${who}`, author].filter(Boolean).join("; ");
};

export const ApprovalPanel = ({ rollout }: { rollout: Detail }): JSX.Element | null => {
  const { approval } = rollout;
  if (!approval) return null;
  const decisions = approval.decisions ?? [];
  const required = approval.required ?? 1;
  const missing = approval.missing ?? required - decisions.filter((one) => one.verdict === "Approve").length;
  const offered = info.value?.actions !== false;
  const buttons = rollout.actions.filter((one) => offered && one.enabled && (one.action === "approve" || one.action === "reject"));
  return (
    <section class="card approval" aria-labelledby="approval-title">
      <div class="body">
        <UserCheck class="big-icon" aria-hidden="true" />
        <div class="grow">
          <h2 id="approval-title">{approval.message || "This release waits for approval"}</h2>
          <p class="muted">
            {approval.place && `${sentence(approval.place)}: `}
            {plural(required, "approval")} needed, {required - missing} given
            {asked(approval) && ` · ${asked(approval)}`}
            {approval.until ? (
              <>
                {" · "}
                <Until until={approval.until} then={approval.onTimeout === "Hold" ? "then it goes on waiting" : "then it is taken back"} />
              </>
            ) : null}
          </p>
          {decisions.length > 0 && (
            <ul class="decisions">
              {decisions.map((decision) => (
                <One key={decision.id} decision={decision} />
              ))}
            </ul>
          )}
        </div>
        <div class="actions">
          {buttons.map((action) => (
            <ActionButton key={action.action} action={action} primary={action.action === "approve"} />
          ))}
        </div>
      </div>
    </section>
  );
};
