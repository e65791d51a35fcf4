//! `include`, `require`, `exclude` as they are evaluated.

use std::sync::Arc;

use super::index::GroupIndex;
use super::sets::{Collector, Sets};

/// `any(include) and all(require) and not any(exclude)`.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Condition {
    pub(in crate::policy) include: AnyOf,
    pub(in crate::policy) require: Box<[AnyOf]>,
    pub(in crate::policy) exclude: AnyOf,
}

impl Condition {
    /// Whether it plainly holds whatever the facts are; `false` where that would take thought.
    pub(super) fn always_holds(&self) -> bool {
        self.include.always_holds()
            && self.require.iter().all(AnyOf::always_holds)
            && self.exclude.never_holds()
    }

    /// Whether it plainly never holds: nothing is included.
    pub(super) fn never_holds(&self) -> bool {
        self.include.never_holds()
    }
}

/// Rules of which one has to hold.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct AnyOf {
    /// Few: its own, and those of large groups and lists, which all who refer to them share.
    pub(in crate::policy) sets: Box<[Arc<Sets>]>,
    /// Groups that are more than sets.
    pub(in crate::policy) groups: Option<Box<GroupIndex>>,
}

impl AnyOf {
    fn always_holds(&self) -> bool {
        self.sets.iter().any(|sets| sets.everyone)
    }

    fn never_holds(&self) -> bool {
        self.sets.is_empty() && self.groups.is_none()
    }

    /// From rules of its own and the sets of what it refers to.
    ///
    /// Small sets are merged, so that their number makes no difference; the largest stay shared, so
    /// that a list of thousands is kept once. What is copied is bounded by the number of sets: what
    /// a thousand applications share never takes room a thousand times.
    pub(super) fn new(
        mut own: Collector,
        mut parts: Vec<Arc<Sets>>,
        groups: Option<Box<GroupIndex>>,
    ) -> Self {
        parts.sort_by_key(|part| Arc::as_ptr(part).addr());
        parts.dedup_by(|one, two| Arc::ptr_eq(one, two));
        parts.sort_by_key(|part| part.len());
        let most_copied = parts.len().saturating_mul(MOST_COPIED);
        let first_large = parts.len().saturating_sub(MOST_SHARED);
        let (mut sets, mut copied) = (Vec::new(), 0_usize);
        for (place, part) in parts.into_iter().enumerate() {
            let with_it = copied.saturating_add(part.len());
            if part.len() > SMALL && (place >= first_large || with_it > most_copied) {
                sets.push(part);
            } else {
                copied = with_it;
                own.set(&part);
            }
        }
        sets.extend(own.finish());
        Self { sets: sets.into(), groups }
    }
}

/// Up to here a set is copied rather than shared.
const SMALL: usize = 32;
/// So many of the largest are shared rather than copied: each is looked at by itself.
const MOST_SHARED: usize = 8;
/// How many entries are copied at most, for each set that is referred to.
const MOST_COPIED: usize = 64;
