local phase = obj.status ~= nil and obj.status.phase or ""
local paused = obj.spec.paused == true
local over = phase == "" or phase == "Healthy" or phase == "Initializing" or phase == "RolledBack"
local ending = phase == "Promoting" or phase == "Watching" or phase == "RollingBack"
local waiting = phase == "Progressing" or phase == "Paused" or phase == "AwaitingApproval" or phase == "Inconclusive"
    or phase == "Watching"
local actions = {}
actions["abort"] = {["disabled"] = over or phase == "RollingBack"}
actions["approve"] = {["disabled"] = phase ~= "AwaitingApproval"}
actions["pause"] = {["disabled"] = paused or over or phase == "RollingBack"}
actions["promote"] = {["disabled"] = over or ending}
actions["reject"] = {["disabled"] = phase ~= "AwaitingApproval"}
actions["resume"] = {["disabled"] = not paused and phase ~= "Paused"}
actions["retry"] = {["disabled"] = phase ~= "RolledBack"}
actions["skip"] = {["disabled"] = not waiting}
return actions
