"""Sources of metrics: each turns somebody's telemetry into windows of counts or into values."""
