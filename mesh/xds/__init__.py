"""From the intermediate representation to Envoy's configuration. Pure: the same view gives the same bytes."""
