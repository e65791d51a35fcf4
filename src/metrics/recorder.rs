//! Calls to the program's recorder.

/// A change of a metric.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "metrics are off"))]
enum Change {
    Increment,
    Set(f64),
}

/// A label of one of our names, and its value: never text from a request.
pub(super) type Label = (&'static str, &'static str);

/// Adds one to a counter.
pub(super) fn increment(name: &'static str, label: Label) {
    record(name, Some(label), Change::Increment);
}

/// Sets a gauge.
pub(super) fn set(name: &'static str, label: Option<Label>, value: impl Into<f64>) {
    record(name, label, Change::Set(value.into()));
}

/// Looks the metric up each time, as the macros of `metrics` do. A handle cannot be kept: it belongs
/// to the current recorder, which may be missing yet, or be local to the thread.
#[cfg_attr(not(feature = "metrics"), allow(unused_variables, reason = "metrics are off"))]
fn record(name: &'static str, label: Option<Label>, change: Change) {
    #[cfg(feature = "metrics")]
    {
        use metrics::{Key, Label, Level, Metadata, with_recorder};

        static METADATA: Metadata<'static> =
            Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

        let label = label.map(|(name, value)| Label::from_static_parts(name, value));
        let key = Key::from_parts(name, Vec::from_iter(label));
        with_recorder(|recorder| match change {
            Change::Increment => recorder.register_counter(&key, &METADATA).increment(1),
            Change::Set(value) => recorder.register_gauge(&key, &METADATA).set(value),
        });
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::increment;

    #[test]
    fn a_recorder_that_comes_late_gets_what_follows() {
        for round in 1..=2 {
            increment("late", ("outcome", "yes"));
            let recorder = DebuggingRecorder::new();
            let snapshotter = recorder.snapshotter();
            metrics::with_local_recorder(&recorder, || {
                (0..round).for_each(|_| increment("late", ("outcome", "yes")));
            });
            let found = snapshotter.snapshot().into_vec();
            let [(key, _, _, value)] = &found[..] else { panic!("{found:?}") };
            assert_eq!(key.key().name(), "late");
            assert_eq!(*value, DebugValue::Counter(round));
        }
    }
}
