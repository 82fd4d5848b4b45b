//! Telemetry: tracing set-up; metric names and events in one place.
