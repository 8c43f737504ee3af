local hs = {}
if obj.metadata.deletionTimestamp ~= nil then
  hs.status = "Progressing"
  hs.message = "the Rollout goes: all requests return to the Deployment"
  return hs
end
if obj.status == nil or obj.status.phase == nil
    or (obj.status.observedGeneration or 0) ~= (obj.metadata.generation or 0) then
  hs.status = "Progressing"
  hs.message = "the controller has not seen this version of the Rollout yet"
  return hs
end
local health = {
  Healthy = "Healthy",
  Paused = "Suspended",
  AwaitingApproval = "Suspended",
  Inconclusive = "Suspended",
  RolledBack = "Degraded",
  Stalled = "Degraded",
}
hs.status = health[obj.status.phase] or "Progressing"
hs.message = obj.status.message or obj.status.phase
return hs
