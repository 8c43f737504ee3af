if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["coalmine.dev/reject"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
