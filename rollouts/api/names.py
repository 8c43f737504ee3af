"""Group, labels and annotations of the controller."""

from __future__ import annotations

from typing import Final

GROUP: Final = "coalmine.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "rollouts"
FIELD_MANAGER: Final = "coalmine"
FINALIZER: Final = "coalmine.dev/restore"
ROLLOUT_LABEL: Final = "coalmine.dev/rollout"
"""On an adopted Deployment and on every object the controller makes: the Rollout's name. Admission holds Deployments that carry it."""
ROLE_LABEL: Final = "coalmine.dev/role"
"""``canary`` on the canary's objects and pods."""
CANARY_SUFFIX: Final = "-canary"
BASELINE_SUFFIX: Final = "-baseline"
"""Of the fresh pods of the stable version that an experiment step starts."""
REVISION_ANNOTATION: Final = "coalmine.dev/revision"
"""On the canary's Deployment: the revision (hash of the pod template) that it was made from."""

ABORT_ANNOTATION: Final = "coalmine.dev/abort"
"""On a Rollout. Any new value takes the present release back, once (``kubectl annotate --overwrite rollout/x coalmine.dev/abort="$(date)"``)."""
RETRY_ANNOTATION: Final = "coalmine.dev/retry"
"""On a Rollout. Any new value runs a rolled-back or aborted release again, once."""
APPROVE_ANNOTATION: Final = "coalmine.dev/approve"
"""On a Rollout. Any new value passes the approval step that the release is waiting at, once."""
RESUME_ANNOTATION: Final = "coalmine.dev/resume"
"""On a Rollout. Any new value ends the pause step that the release is waiting at, once."""
SKIP_ANNOTATION: Final = "coalmine.dev/skip"
"""On a Rollout. Any new value ends the present step, whatever it waits for, and begins the next, once."""
PROMOTE_ANNOTATION: Final = "coalmine.dev/promote"
"""On a Rollout. Any new value promotes the present release without waiting for evidence, once; it ends ``spec.watch`` as well."""
