"""The included service mesh: resources become an intermediate representation, and only that becomes xDS."""
