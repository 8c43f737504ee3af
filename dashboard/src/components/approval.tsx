/** What people are asked, who has said what, and the buttons. */
import { Check, UserCheck, X } from "lucide-preact";
import type { JSX } from "preact";
import { now } from "../lib/clock";
import { moment, plural, span, unix } from "../lib/format";
import { info } from "../lib/info";
import type { Approval, Decision, Detail } from "../lib/types";
import { ActionButton } from "./actions";

const Until = ({ until }: { until: string | number }): JSX.Element => {
  const left = unix(until) - now.value;
  return <span class="number">{left > 0 ? `until ${moment(unix(until), now.value)}, ${span(left)} left` : "its time is over"}</span>;
};

const One = ({ decision }: { decision: Decision }): JSX.Element => {
  const approved = decision.verdict === "Approve";
  return (
    <li>
      <span class={`badge tone-${approved ? "good" : "bad"}`}>
        {approved ? <Check class="icon" aria-hidden="true" /> : <X class="icon" aria-hidden="true" />}
        {approved ? "Approved" : "Rejected"}
      </span>
      <span>
        <b>{decision.by}</b> <span class="muted">via {decision.via}, {moment(unix(decision.at), now.value)}</span>
        {decision.comment && <q>{decision.comment}</q>}
      </span>
    </li>
  );
};

/** The gate's rules about who may, in words, as far as the status tells them. */
const who = (approval: Approval): string => {
  const names: string[] = [];
  const collect = (value: unknown): void => {
    if (typeof value === "string") names.push(value);
    else if (Array.isArray(value)) value.forEach(collect);
    else if (value && typeof value === "object") Object.values(value).forEach(collect);
  };
  collect(approval["approvers"] ?? approval["who"] ?? approval["mayApprove"] ?? approval["from"]);
  return names.join(", ");
};

export const ApprovalPanel = ({ rollout }: { rollout: Detail }): JSX.Element | null => {
  const { approval } = rollout;
  if (!approval) return null;
  const decisions = approval.decisions ?? [];
  const approved = decisions.filter((one) => one.verdict === "Approve").length;
  const required = approval.required ?? 1;
  const offered = info.value?.actions !== false;
  const buttons = rollout.actions.filter((one) => offered && one.enabled && (one.action === "approve" || one.action === "reject"));
  return (
    <section class="card approval" aria-labelledby="approval-title">
      <div class="body">
        <UserCheck class="big-icon" aria-hidden="true" />
        <div class="grow">
          <h2 id="approval-title">{approval.message || "This release waits for approval"}</h2>
          <p class="muted">
            {plural(required, "approval")} needed, {approved} given
            {approval.until ? (
              <>
                {" · "}
                <Until until={approval.until} />
              </>
            ) : null}
            {who(approval) && ` · may approve: ${who(approval)}`}
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
