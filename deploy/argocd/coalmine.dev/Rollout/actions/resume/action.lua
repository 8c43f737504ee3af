if obj.spec.paused == true then
  obj.spec.paused = nil
  return obj
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["coalmine.dev/resume"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
