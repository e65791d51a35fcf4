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

/// Rules of which one has to hold.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct AnyOf {
    /// Few: its own, and those of large groups and lists, which all who refer to them share.
    pub(in crate::policy) sets: Box<[Arc<Sets>]>,
    /// Groups that are more than sets.
    pub(in crate::policy) groups: Option<Box<GroupIndex>>,
}

impl AnyOf {
    /// From rules of its own and the sets of what it refers to.
    ///
    /// Small sets are merged, so that their number makes no difference; large ones stay shared, so
    /// that a list of thousands is kept once.
    pub(super) fn new(
        mut own: Collector,
        mut parts: Vec<Arc<Sets>>,
        groups: Option<Box<GroupIndex>>,
    ) -> Self {
        parts.sort_by_key(|part| Arc::as_ptr(part).addr());
        parts.dedup_by(|one, two| Arc::ptr_eq(one, two));
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut sets = Vec::new();
        for part in parts {
            if part.len() > SMALL && part.len().saturating_mul(MOST_SHARED) > total {
                sets.push(part);
            } else {
                own.set(&part);
            }
        }
        sets.extend(own.finish());
        Self { sets: sets.into(), groups }
    }
}

/// Up to here a set is copied rather than shared.
const SMALL: usize = 32;
/// So many sets are shared at most: a set that is not a share of this of the whole is copied.
const MOST_SHARED: usize = 8;
