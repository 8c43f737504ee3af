"""The custom resource definitions, and what all resource models share. The YAML beside this is generated from the models."""
